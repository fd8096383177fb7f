//! Who may import whom: reads every source and holds it to the layers in the map of `src/lib.rs`.

use std::fs;
use std::path::{Path, PathBuf};

/// A top-level module, and what it may know.
struct Module {
    name: &'static str,
    /// The other top-level modules that it may import.
    imports: &'static [&'static str],
    /// Names that stand for something it must not know.
    unknown: &'static [&'static str],
}

/// `main` is the binary: it sees the others as `conversationd::…`.
const MODULES: [Module; 13] = [
    Module {
        name: "domain",
        imports: &[],
        unknown: &["axum", "StatusCode", "reqwest", "tokio", "async", "await"],
    },
    // It asks over HTTP and so reads status codes, but it gives none.
    Module { name: "vonage", imports: &["domain"], unknown: &["axum"] },
    Module { name: "store", imports: &["domain"], unknown: &["axum", "StatusCode", "reqwest"] },
    // It asks over HTTP, too.
    Module { name: "upstream", imports: &["domain"], unknown: &["axum"] },
    Module { name: "simulator", imports: &["domain"], unknown: &[] },
    Module { name: "lifecycle", imports: &["domain"], unknown: &["axum", "StatusCode", "reqwest"] },
    Module {
        name: "flow",
        imports: &["domain", "vonage", "upstream", "store", "lifecycle"],
        unknown: &["axum", "StatusCode", "reqwest"],
    },
    Module { name: "http", imports: &["domain", "store", "flow", "lifecycle"], unknown: &["reqwest"] },
    Module {
        name: "config",
        imports: &["domain", "vonage", "upstream", "store", "lifecycle", "flow", "http"],
        unknown: &[],
    },
    Module {
        name: "telemetry",
        imports: &["domain", "vonage", "store", "lifecycle", "flow", "http"],
        unknown: &[],
    },
    Module {
        name: "daemon",
        imports: &[
            "domain",
            "vonage",
            "upstream",
            "store",
            "lifecycle",
            "flow",
            "http",
            "config",
            "telemetry",
        ],
        unknown: &[],
    },
    Module {
        name: "cli",
        imports: &["domain", "store", "simulator", "lifecycle", "config", "telemetry", "daemon"],
        unknown: &[],
    },
    Module {
        name: "main",
        imports: &["domain", "store", "simulator", "lifecycle", "config", "telemetry", "daemon", "cli"],
        unknown: &[],
    },
];

#[test]
fn modules_import_from_the_layers_below_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 40, "only {} files were found", files.len());
    let faults: Vec<String> = files.iter().flat_map(|file| faults_of_file(&root, file)).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_module_of_the_map_has_a_layer() {
    let map = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let mut declared: Vec<&str> =
        map.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    declared.push("main");
    declared.sort_unstable();
    let mut known: Vec<&str> = MODULES.iter().map(|module| module.name).collect();
    known.sort_unstable();
    assert_eq!(declared, known);
}

// === the checker, seen to fail

#[test]
fn an_import_from_below_is_taken() {
    for (file, source) in [
        ("flow/fetch.rs", "use crate::vonage::client::{Client, Look};\nuse crate::flow::Wake;"),
        ("http/query/mod.rs", "fn f(id: &crate::domain::ids::LegId) {}"),
        ("http/query/one.rs", "use super::super::problem::Problem;\nuse super::{Query, super::cursor};"),
        ("daemon.rs", "pub(crate) fn f() { crate::telemetry::start(); }"),
        ("main.rs", "use conversationd::cli::Arguments;"),
        ("domain/a.rs", "//! Like [`crate::http`], over axum.\n/* crate::store, /* sqlx */ async */"),
        (
            "domain/b.rs",
            "const A: (&str, &str, char) = (\"crate::http\\\" async\", r#\"axum \"sqlx\" \"#, '\"');",
        ),
        ("domain/c.rs", "fn f<'a>(a: &'a str) -> Result<&'a str, super::ids::IdError> { a.parse() }"),
        ("store/mod.rs", "use sqlx::query;"),
    ] {
        assert_eq!(faults(file, source), Vec::<String>::new(), "{file}");
    }
}

#[test]
fn an_upward_or_sideways_import_is_a_fault() {
    for (file, source, fault) in [
        ("domain/a.rs", "use crate::store::Store;", "domain/a.rs:1: domain -> store"),
        ("vonage/a.rs", "\n\nuse crate::store::Store;", "vonage/a.rs:3: vonage -> store"),
        ("store/a.rs", "use crate::lifecycle::Lifecycle;", "store/a.rs:1: store -> lifecycle"),
        ("simulator/a.rs", "use crate::vonage::document;", "simulator/a.rs:1: simulator -> vonage"),
        ("flow/a.rs", "use crate::http::Ncco;", "flow/a.rs:1: flow -> http"),
        ("http/a.rs", "fn f() {\n    crate::vonage::pace::Pace::new();\n}", "http/a.rs:2: http -> vonage"),
        ("http/a.rs", "pub(in crate::config) fn f() {}", "http/a.rs:1: http -> config"),
        ("config/a.rs", "use crate::daemon;", "config/a.rs:1: config -> daemon"),
        ("cli/a.rs", "use crate::flow::Wake;", "cli/a.rs:1: cli -> flow"),
        ("main.rs", "use conversationd::vonage::token;", "main.rs:1: main -> vonage"),
        ("flow/a.rs", "type A<'a> = &'a crate::nowhere::B;", "flow/a.rs:1: flow -> nowhere"),
        ("flow/a.rs", "use crate::*;", "flow/a.rs:1: flow -> *"),
        ("flow/a.rs", "use crate as whole;", "flow/a.rs:1: flow -> everything"),
    ] {
        assert_eq!(faults(file, source), [fault], "{source}");
    }
}

#[test]
fn a_group_of_modules_and_a_re_export_at_the_root_are_faults() {
    assert_eq!(
        faults("flow/a.rs", "use crate::{domain::ids::LegId,\n    http::Ncco};"),
        ["flow/a.rs:1: flow -> a group of modules", "flow/a.rs:2: flow -> http"]
    );
    assert_eq!(
        faults("lib.rs", "pub mod domain;\npub use domain::ids::LegId;"),
        ["lib.rs:2: a type has one path: no `pub use` here"]
    );
    assert_eq!(
        faults("lib.rs", "pub(crate) use domain::ids;"),
        ["lib.rs:1: a type has one path: no `pub use` here"]
    );
}

#[test]
fn a_chain_of_supers_stays_in_its_top_level_module() {
    for (file, source) in [
        ("flow/interpret/legs.rs", "use super::super::super::store::Store;"),
        ("flow/interpret/mod.rs", "use super::super::store::Store;"),
        ("flow/mod.rs", "use super::store::Store;"),
        ("daemon.rs", "fn f() { super::cli::run(); }"),
        ("http/query/mod.rs", "use super::{problem, super::vonage};"),
        ("daemon.rs", "mod tests { use super::super::cli; }"),
        ("daemon.rs", "mod tests { } use super::cli;"),
    ] {
        let faults = faults(file, source);
        assert_eq!(faults.len(), 1, "{source}");
        assert!(faults[0].ends_with("-> out of the module"), "{faults:?}");
    }
    assert_eq!(faults("daemon.rs", "mod tests { use super::*; }"), Vec::<String>::new());
}

#[test]
fn a_name_that_a_layer_must_not_know_is_a_fault() {
    for (file, source, fault) in [
        ("domain/a.rs", "async fn f() {}", "domain/a.rs:1: domain knows async"),
        ("flow/a.rs", "use axum::Router;", "flow/a.rs:1: flow knows axum"),
        ("store/a.rs", "fn f(_: http::StatusCode) {}", "store/a.rs:1: store knows StatusCode"),
        ("http/a.rs", "fn f() { sqlx::query(\"\"); }", "http/a.rs:1: http knows sqlx"),
        ("telemetry.rs", "\nuse sqlx::Row;", "telemetry.rs:2: telemetry knows sqlx"),
    ] {
        assert_eq!(faults(file, source), [fault], "{source}");
    }
}

// === the checker

pub fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("the entry can be read").path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn faults_of_file(root: &Path, file: &Path) -> Vec<String> {
    let source = fs::read_to_string(file).expect("a source is a text");
    let name = file.strip_prefix(root).expect("it was found there").to_str().expect("its name is a text");
    faults(name, &source)
}

/// What is wrong in the source of `file`, which is named from `src` on.
fn faults(file: &str, source: &str) -> Vec<String> {
    let tokens = tokens(source);
    let module_path: Vec<&str> = file.trim_end_matches(".rs").trim_end_matches("/mod").split('/').collect();
    if module_path == ["lib"] {
        let root =
            tokens.iter().enumerate().filter(|(at, token)| token.text == "use" && is_public(&tokens[..*at]));
        return root
            .map(|(_, token)| format!("{file}:{}: a type has one path: no `pub use` here", token.line))
            .collect();
    }
    let Some(module) = MODULES.iter().find(|module| module.name == module_path[0]) else {
        return vec![format!("{file}: {} has no layer", module_path[0])];
    };
    let mut faults = Vec::new();
    for path in paths(&tokens) {
        if let Some(to) = forbidden(module, module_path.len(), &path) {
            faults.push(format!("{file}:{}: {} -> {to}", path.line, module.name));
        }
    }
    for token in &tokens {
        let sql = token.text == "sqlx" && module.name != "store";
        if sql || module.unknown.contains(&token.text.as_str()) {
            faults.push(format!("{file}:{}: {} knows {}", token.line, module.name, token.text));
        }
    }
    faults
}

/// Whether a statement that begins after these tokens is public, be it within limits.
fn is_public(before: &[Token]) -> bool {
    let statement = before.rsplit(|token| matches!(token.text.as_str(), ";" | "}" | "{" | "]")).next();
    statement.is_some_and(|statement| statement.iter().any(|token| token.text == "pub"))
}

/// Where the path leads that the module must not go.
fn forbidden(module: &Module, depth: usize, path: &NamePath) -> Option<String> {
    let root = if module.name == "main" { "conversationd" } else { "crate" };
    let first = path.names.first()?;
    if first == "super" {
        let supers = path.names.iter().take_while(|name| *name == "super").count();
        return (supers >= depth + path.inline_depth).then(|| "out of the module".to_owned());
    }
    if first != root {
        return None;
    }
    match path.names.get(1).map(String::as_str) {
        None => path.is_use.then(|| "everything".to_owned()),
        Some("{") => Some("a group of modules".to_owned()),
        Some(to) if to == module.name || module.imports.contains(&to) => None,
        Some(to) => Some(to.to_owned()),
    }
}

/// A path as written, with the groups around it put before it.
struct NamePath {
    names: Vec<String>,
    line: usize,
    is_use: bool,
    /// How many modules of the file itself are around it.
    inline_depth: usize,
}

fn paths(tokens: &[Token]) -> Vec<NamePath> {
    let mut paths = Vec::new();
    // For each open brace: whether it opened a module.
    let mut braces: Vec<bool> = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let inline_depth = braces.iter().filter(|is_module| **is_module).count();
        match token.text.as_str() {
            "{" => braces.push(at >= 2 && tokens[at - 2].text == "mod"),
            "}" => {
                braces.pop();
            }
            "use" => {
                at = use_tree(tokens, at + 1, &[], inline_depth, &mut paths);
                continue;
            }
            text if is_name(text) => {
                let (names, next) = chain(tokens, at);
                paths.push(NamePath { names, line: token.line, is_use: false, inline_depth });
                at = next;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    paths
}

/// Reads the tree of a `use` from `at` on; returns where it ends.
fn use_tree(
    tokens: &[Token],
    at: usize,
    prefix: &[String],
    inline_depth: usize,
    paths: &mut Vec<NamePath>,
) -> usize {
    let (names, mut next) = chain(tokens, at);
    let names: Vec<String> = prefix.iter().cloned().chain(names).collect();
    let line = tokens.get(at).map_or(0, |token| token.line);
    let text = |at: usize| tokens.get(at).map_or(";", |token| token.text.as_str());
    if text(next) == "{" {
        if names.len() == 1 && prefix.is_empty() {
            let names = names.iter().cloned().chain(["{".to_owned()]).collect();
            paths.push(NamePath { names, line, is_use: true, inline_depth });
        }
        while !matches!(text(next), "}" | ";") {
            next = use_tree(tokens, next + 1, &names, inline_depth, paths);
        }
        return next + 1;
    }
    if text(next) == "*" {
        next += 1;
        let names = names.iter().cloned().chain(["*".to_owned()]).collect();
        paths.push(NamePath { names, line, is_use: true, inline_depth });
    } else if names.len() > prefix.len() {
        paths.push(NamePath { names, line, is_use: true, inline_depth });
    }
    while !matches!(text(next), "," | "}" | ";") {
        next += 1;
    }
    next
}

/// The names from `at` on that `::` joins, and where the first other thing is.
fn chain(tokens: &[Token], mut at: usize) -> (Vec<String>, usize) {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut names = Vec::new();
    while is_name(text(at)) {
        names.push(text(at).to_owned());
        at += 1;
        if text(at) != "::" {
            break;
        }
        at += 1;
    }
    (names, at)
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// A name, a `::`, or any other single character.
struct Token {
    text: String,
    line: usize,
}

/// The source without its comments, texts and characters.
fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let line = source[..source.len() - rest.len()].matches('\n').count() + 1;
        let name_end = rest.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(rest.len());
        let skipped = not_code(rest).or_else(|| first.is_whitespace().then(|| first.len_utf8()));
        let length =
            skipped.unwrap_or(if rest.starts_with("::") { 2 } else { name_end.max(first.len_utf8()) });
        if skipped.is_none() {
            tokens.push(Token { text: rest[..length].to_owned(), line });
        }
        rest = &rest[length..];
    }
    tokens
}

/// The length of the comment, text or character that `rest` begins with.
fn not_code(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    if let Some(text) = rest.strip_prefix('\'') {
        let escaped = text.starts_with('\\');
        let end = text.char_indices().skip(if escaped { 2 } else { 1 }).find(|(_, next)| *next == '\'')?.0;
        // Otherwise it is a lifetime, and the next quote is another's.
        let is_character = escaped || text[..end].chars().count() == 1;
        return Some(if is_character { end + 2 } else { 1 });
    }
    let opening = rest.trim_start_matches(['b', 'c', 'r']);
    let prefix = rest.len() - opening.len();
    let hashes = opening.len() - opening.trim_start_matches('#').len();
    let is_raw = rest[..prefix].ends_with('r');
    if prefix > 2 || (hashes > 0 && !is_raw) || !opening[hashes..].starts_with('"') {
        return None;
    }
    let inside = &opening[hashes + 1..];
    let end = if is_raw {
        let close = format!("\"{}", "#".repeat(hashes));
        inside.find(&close).map(|end| end + close.len())
    } else {
        let mut escaped = false;
        let closing = |next: char| {
            let closes = next == '"' && !escaped;
            escaped = next == '\\' && !escaped;
            closes
        };
        inside.find(closing).map(|end| end + 1)
    };
    Some(prefix + hashes + 1 + end.unwrap_or(inside.len()))
}

fn block_comment(rest: &str) -> usize {
    let mut open = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            open += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            open -= 1;
            at += 2;
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
        if open == 0 {
            break;
        }
    }
    at
}
