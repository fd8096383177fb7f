//! The real binary, as systemd would run it.

use std::fs;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, query};

use super::daemon::{PATIENCE, World, write_configuration};

/// A daemon in a process of its own. It is killed when the test ends.
pub struct Process {
    child: Child,
    notifications: UnixDatagram,
}

impl Process {
    /// Starts `serve` in `directory`, with its log in a file there, and does not wait for anything.
    pub fn start(directory: &Path) -> Self {
        let log = fs::File::create(directory.join("log")).expect("a file can be made");
        Self::start_logging_to(directory, log, "")
    }

    /// Starts `serve` with another standard error, after the shell has run `before`.
    pub fn start_logging_to(directory: &Path, log: impl Into<Stdio>, before: &str) -> Self {
        Self::start_as(&["serve", "--config", "conversationd.toml"], directory, log, before)
    }

    /// Starts the binary with these arguments in `directory`.
    pub fn start_as(arguments: &[&str], directory: &Path, log: impl Into<Stdio>, before: &str) -> Self {
        let socket = directory.join("notify.socket");
        let _ = fs::remove_file(&socket);
        let notifications = UnixDatagram::bind(&socket).expect("a socket can be bound");
        notifications.set_read_timeout(Some(PATIENCE)).expect("a socket can have a timeout");
        // A write beyond the limit of a file's size fails as on a full disk, and does not end the process.
        let child = Command::new("sh")
            .args(["-c", &format!("trap '' XFSZ; {before}\nexec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_conversationd"))
            .args(arguments)
            .current_dir(directory)
            .env("NOTIFY_SOCKET", &socket)
            .env_remove("CONVERSATIOND_CONFIG")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the binary can be started");
        Self { child, notifications }
    }

    /// Waits for what systemd is told next.
    pub fn told(&self) -> String {
        let mut buffer = [0; 256];
        let length = self.notifications.recv(&mut buffer).expect("systemd is told");
        String::from_utf8_lossy(&buffer[..length]).trim().to_owned()
    }

    /// Reads what systemd was told so far, as systemd does: the daemon waits when nobody reads for long.
    pub fn told_so_far(&self) -> Vec<String> {
        self.notifications.set_nonblocking(true).expect("a socket can be set so");
        let mut told = Vec::new();
        let mut buffer = [0; 256];
        while let Ok(length) = self.notifications.recv(&mut buffer) {
            told.push(String::from_utf8_lossy(&buffer[..length]).trim().to_owned());
        }
        self.notifications.set_nonblocking(false).expect("a socket can be set so");
        told
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("kill is there").success());
    }

    /// Its threads: each one's name and its priority, as `nice` counts.
    pub fn threads(&self) -> Vec<(String, i32)> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs");
        let stats = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
        let thread = |stat: String| {
            let (head, fields) = stat.rsplit_once(')')?;
            let (_, name) = head.split_once('(')?;
            // The 19th of all: proc_pid_stat(5).
            Some((name.to_owned(), fields.split_whitespace().nth(16)?.parse().ok()?))
        };
        stats.filter_map(thread).collect()
    }

    /// The most memory that it has had so far, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"));
        peak.expect("Linux tells it").trim().parse::<u64>().expect("it is a number") * 1024
    }

    /// Lets no file of the process grow beyond so many bytes, or any (`unlimited`).
    pub fn limit_files_to(&self, bytes: &str) {
        let pid = self.child.id().to_string();
        let status =
            Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:unlimited")]).status();
        assert!(status.expect("prlimit is there").success());
    }

    /// Lets the process have so many descriptors, and raise that to `hard`.
    pub fn limit_descriptors_to(&self, soft: u64, hard: u64) {
        let pid = self.child.id().to_string();
        let status =
            Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={soft}:{hard}")]).status();
        assert!(status.expect("prlimit is there").success());
    }

    /// What the system says of the process: a line of `/proc/PID/{file}` that begins with `name`, without that.
    pub fn system_says(&self, file: &str, name: &str) -> String {
        let path = format!("/proc/{}/{file}", self.child.id());
        let text = fs::read_to_string(path).expect("it runs");
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{text}")).to_owned()
    }

    /// Waits for the end.
    pub fn ended(mut self) -> ExitStatus {
        let (done, ended) = std::sync::mpsc::channel();
        let id = self.child.id();
        std::thread::scope(|scope| {
            let child = &mut self.child;
            scope.spawn(move || done.send(child.wait()));
            let Ok(status) = ended.recv_timeout(PATIENCE) else {
                let _ = Command::new("kill").args(["-KILL", &id.to_string()]).status();
                panic!("the process does not end");
            };
            status.expect("the process can be waited for")
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a configuration with fixed ports, which a restarted process has again, and returns them.
pub fn configure(directory: &Path, world: &World, api_url: &str) -> io::Result<[u16; 2]> {
    write_configuration(directory, world, api_url);
    let ports = [free_port()?, free_port()?];
    let file = directory.join("conversationd.toml");
    let mut text = fs::read_to_string(&file)?;
    for port in ports {
        text = text.replacen("127.0.0.1:0", &format!("127.0.0.1:{port}"), 1);
    }
    fs::write(file, text)?;
    Ok(ports)
}

fn free_port() -> io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// What the process has logged so far.
pub fn log(directory: &Path) -> String {
    fs::read_to_string(directory.join("log")).unwrap_or_default()
}

/// How soon after its start the daemon must have begun what it owed.
pub const SOON: Duration = Duration::from_secs(1);

/// Another program that has the store to itself: nobody reads or writes while it is held.
pub struct ExclusiveLock(SqliteConnection);

impl ExclusiveLock {
    /// Locks the store in `directory`, which is made where there is none.
    pub async fn take(directory: &Path) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(directory.join("conversationd.db"))
            .create_if_missing(true)
            .busy_timeout(PATIENCE);
        let mut connection = options.connect().await.expect("the store can be opened");
        query("BEGIN EXCLUSIVE").execute(&mut connection).await.expect("the lock can be had");
        Self(connection)
    }

    /// Lets others at the store again.
    pub async fn release(mut self) {
        query("ROLLBACK").execute(&mut self.0).await.expect("the lock is held");
        self.0.close().await.expect("the connection can be closed");
    }
}
