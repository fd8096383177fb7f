//! What a demo plays on: a simulated Vonage, a daemon, and a directory with a real configuration.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use pem::Pem;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use url::Url;
use uuid::Uuid;

use super::super::{Failure, clock, print};
use crate::config::{Config, Environment};
use crate::daemon::{self, Daemon, Listeners};
use crate::domain::ids::ApplicationId;
use crate::lifecycle::{self, End};
use crate::simulator::{Members, Settings, Simulator};

/// Where the daemon listens if nobody else does.
const USUAL_PORTS: [u16; 2] = [3000, 3001];

/// The application of the demo: the same each time, so that a directory can be used again.
const APPLICATION: &str = "c0a11ed0-0000-4000-8000-000000000001";

/// The account of the demo.
const API_KEY: &str = "a1b2c3d4";

/// How long the daemon may take to answer a reader.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The tutorial's call flow: whoever calls is connected to Bob.
const NCCO: &str = r#"[{"action":"connect","endpoint":[{"type":"phone","number":"447700000003"}]}]
"#;

/// Conversations asked for at once.
const LIST_LIMIT: u32 = 500;

/// A simulated Vonage and a daemon that know each other.
pub(super) struct Scene {
    simulator: Arc<Simulator>,
    daemon: Daemon,
    http: reqwest::Client,
    directory: PathBuf,
    /// Removed with everything in it when it is dropped.
    _temporary: Option<TempDir>,
}

impl Scene {
    /// Sets everything up: keys, configuration, simulator, daemon.
    pub(super) async fn set(directory: Option<PathBuf>) -> Result<Self, Failure> {
        let temporary =
            directory.is_none().then(|| TempDir::with_prefix("conversationd-demo-")).transpose()?;
        let directory = match (directory, &temporary) {
            (Some(directory), _) => directory,
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => unreachable!("a directory is either named or temporary"),
        };
        fs::create_dir_all(&directory)?;
        let directory = directory.canonicalize()?;
        let secret = Uuid::new_v4().to_string();
        let public_key_pem = write_key(&directory.join("private.key"))?;
        let listeners =
            Listeners { public: listen(USUAL_PORTS[0]).await?, private: listen(USUAL_PORTS[1]).await? };
        let simulator = Simulator::start(Settings {
            application_id: ApplicationId::parse(APPLICATION).expect("a UUID is an id"),
            public_key_pem,
            api_key: API_KEY.to_owned(),
            signature_secret: secret.clone().into(),
            webhooks: address(listeners.public.local_addr()?),
            members: Members::Embedded,
            clock: clock(),
        })
        .await?;
        write_private(&directory.join("signature.secret"), secret.as_bytes())?;
        write_private(&directory.join("ncco.json"), NCCO.as_bytes())?;
        let file = directory.join("conversationd.toml");
        write_private(&file, configuration(&directory, &listeners, APPLICATION, &simulator)?.as_bytes())?;
        let config = Config::load(Some(&file), &Environment::default())?;
        let daemon = daemon::start(config, listeners, clock()).await?;
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_TIMEOUT).build();
        let http = http.map_err(|error| Failure::Failed(error.to_string()))?;
        Ok(Self { simulator: Arc::new(simulator), daemon, http, directory, _temporary: temporary })
    }

    /// The simulated Vonage.
    pub(super) fn simulator(&self) -> Arc<Simulator> {
        Arc::clone(&self.simulator)
    }

    /// Prints who talks to whom.
    pub(super) fn describe(&self) -> Result<(), Failure> {
        print(&format!(
            "simulated Vonage   {}\nwebhooks go to     {}\nreaders ask        {}\nconfiguration      {}\n\n",
            self.simulator.api_url(),
            address(self.daemon.public),
            address(self.daemon.private),
            self.directory.join("conversationd.toml").display(),
        ))
    }

    /// Prints what to open.
    pub(super) fn invite(&self) -> Result<(), Failure> {
        let base = address(self.daemon.private);
        print("\nOpen, or ask with curl:\n")?;
        for path in ["", "docs", "v1/conversations", "v1/stats", "metrics"] {
            print(&format!("  {base}{path}\n"))?;
        }
        print("Ctrl-C stops.\n")
    }

    /// Every conversation that the daemon tells of.
    pub(super) async fn conversations(&self) -> Result<Vec<Value>, Failure> {
        let mut conversations = Vec::new();
        let mut next = String::new();
        loop {
            let url = format!("{}v1/conversations?limit={LIST_LIMIT}{next}", address(self.daemon.private));
            let mut page = self.ask(&url).await.map_err(|error| Failure::Failed(error.to_string()))?;
            if let Some(items) = page["items"].as_array_mut() {
                conversations.append(items);
            }
            match page["next"].as_str() {
                Some(cursor) => next = format!("&next={cursor}"),
                None => return Ok(conversations),
            }
        }
    }

    async fn ask(&self, url: &str) -> Result<Value, reqwest::Error> {
        let body = self.http.get(url).send().await?.error_for_status()?.bytes().await?;
        Ok(serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Stops both.
    pub(super) async fn clear(self) -> Result<(), Failure> {
        self.daemon.stop();
        let end = self.daemon.ended(lifecycle::stop_signal()?).await;
        match end {
            End::Drained | End::CutShort => Ok(()),
            End::TaskDied => Err(Failure::Failed("a part of the daemon died".to_owned())),
        }
    }
}

async fn listen(usual_port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, usual_port)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await,
    }
}

fn address(socket: SocketAddr) -> Url {
    Url::parse(&format!("http://{socket}/")).expect("an address and port make a URL")
}

/// Writes a new private key and returns its public half, both PEM.
fn write_key(path: &Path) -> Result<String, Failure> {
    let failed = |_| Failure::Failed("no RSA key could be made".to_owned());
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
    let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(failed)?;
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).map_err(failed)?;
    write_private(path, pem::encode(&Pem::new("PRIVATE KEY", private.as_ref())).as_bytes())?;
    Ok(pem::encode(&Pem::new("PUBLIC KEY", public.as_ref())))
}

fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?.write_all(content)
}

fn configuration(
    directory: &Path,
    listeners: &Listeners,
    application: &str,
    simulator: &Simulator,
) -> std::io::Result<String> {
    let file = |name: &str| toml::Value::from(directory.join(name).display().to_string());
    let (public, private) = (listeners.public.local_addr()?, listeners.private.local_addr()?);
    let store = toml::Value::from(format!("sqlite:{}", directory.join("conversationd.db").display()));
    Ok(format!(
        r#"# Written by conversationd demo.
[webhooks]
listen = "{public}"
signatures = "required"

[query]
listen = "{private}"

[answer]
ncco_file = {ncco}

[store]
url = {store}

[fetch]
# The simulator has no limit; calls that are played fast need looks in quick succession.
requests_per_second = 200

[[application]]
id = "{application}"
private_key_file = {key}
signature_secret_files = [{secret}]
api_key = "{API_KEY}"
api_url = "{api_url}"
"#,
        ncco = file("ncco.json"),
        key = file("private.key"),
        secret = file("signature.secret"),
        api_url = simulator.api_url(),
    ))
}
