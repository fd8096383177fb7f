//! The configuration: the shipped file, the environment over it, and every fault at once.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use conversationd::config::{Config, DEFAULT_FILE, Environment, Faults};
use conversationd::domain::reader::Scope;
use conversationd::vonage::family::Family;
use jiff::SignedDuration;
use pem::Pem;
use secrecy::ExposeSecret;
use tempfile::TempDir;
use toml::{Table, Value};

use crate::support::data;

const APPLICATION: &str = "0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19";
const OTHER_APPLICATION: &str = "11111111-2222-4333-8444-555555555555";

/// A private key takes a moment to make: all tests share one.
static PRIVATE_KEY: LazyLock<String> = LazyLock::new(|| {
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key can be made");
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).expect("a key can be written");
    pem::encode(&Pem::new("PRIVATE KEY", der.as_ref()))
});

// === the shipped file

#[test]
fn the_shipped_file_says_the_defaults() {
    let place = Place::new(DEFAULT_FILE);
    let shipped = place.load(&[]).unwrap();
    let bare = Place::new("").load(&[]).unwrap();
    assert_eq!(shipped.effective(), bare.effective());
    assert_eq!(shipped.effective_json(), bare.effective_json());
    assert_eq!(shipped.source, Some(place.file()));
    assert_eq!(shipped.webhooks_listen, address("127.0.0.1:3000"));
    assert_eq!(shipped.max_body_bytes, 262_144);
    assert!(!shipped.signed.voice);
    assert_eq!(shipped.query_listen, address("127.0.0.1:3001"));
    assert!(shipped.readers.is_empty() && shipped.default_country.is_none());
    assert!(shipped.ncco.is_none());
    assert_eq!(shipped.store, PathBuf::from("conversationd.db"));
    assert_eq!(shipped.fetch.family, Family::V03);
    assert_eq!(shipped.fetch.requests_per_second.get(), 5);
    assert_eq!(shipped.fetch.concurrency, 16);
    assert_eq!(shipped.fetch.patience.poll_interval, SignedDuration::from_secs(15));
    assert_eq!(shipped.fetch.patience.give_up_after, SignedDuration::from_mins(10));
    assert!(shipped.applications.is_empty());
    assert_eq!(shipped.warnings().len(), 3);
}

#[test]
fn every_key_of_the_shipped_file_is_explained() {
    let mut explained = false;
    for line in DEFAULT_FILE.lines() {
        let is_key = line.contains(" = ") && !line.starts_with('#');
        assert!(!is_key || explained, "{line} has no comment before it");
        // Keys that belong together share a comment.
        explained = line.starts_with("# ") || is_key;
    }
}

#[test]
fn every_key_can_be_set_from_the_environment() {
    for (section, key, default) in keys() {
        let variable = format!("CONVERSATIOND__{}__{}", section.to_uppercase(), key.to_uppercase());
        let text = match &default {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Place::new("").load(&[(&variable, &text)]).unwrap_or_else(|faults| panic!("{variable}: {faults}"));
        let wrong = if default.is_str() { continue } else { "not a value" };
        let faults = Place::new("").load(&[(&variable, wrong)]).unwrap_err();
        assert_eq!(places(&faults), [variable.as_str()]);
    }
    assert!(keys().len() > 15);
}

#[test]
fn the_commented_application_is_the_one_that_is_understood() {
    let (_, commented) = DEFAULT_FILE.split_once("\n# [[application]]\n").unwrap();
    let uncommented: Vec<&str> =
        commented.lines().map(|line| line.strip_prefix("# ").unwrap_or(line)).collect();
    let mut shipped: Table = uncommented.join("\n").parse().unwrap();
    // The defaults in force are those of an application that says nothing but what it must.
    let place =
        Place::new(&format!("[[application]]\nid = \"{APPLICATION}\"\nprivate_key_file = \"private.key\""));
    let credentials = place.credentials("private.key", &PRIVATE_KEY);
    let config = place.load(&[("CREDENTIALS_DIRECTORY", &credentials)]).unwrap();
    let effective: Table = config.effective().parse().unwrap();
    shipped.insert("id".to_owned(), APPLICATION.into());
    assert_eq!(effective["application"].as_array().unwrap()[0].as_table(), Some(&shipped));
}

#[test]
fn every_path_family_can_be_asked_for() {
    for name in ["beta", "v0.1", "v0.2", "v0.3", "v1"] {
        let config = Place::new(&format!("[fetch]\napi_version = \"{name}\"")).load(&[]).unwrap();
        assert_eq!(config.fetch.family.as_str(), name);
        assert!(config.fetch.family.has_event_list(), "{name}");
    }
    for name in ["v0.3/..", "V1", "", "v2"] {
        assert_eq!(Family::named(name), None, "{name}");
    }
}

// === the environment

#[test]
fn the_environment_goes_before_the_file() {
    let place =
        Place::new("[fetch]\nconcurrency = 3\nrequests_per_second = 4\n[answer]\nncco_file = \"nowhere\"");
    let config = place.load(&[
        ("CONVERSATIOND__FETCH__CONCURRENCY", "7"),
        ("CONVERSATIOND__ANSWER__NCCO_FILE", ""),
        ("CONVERSATIOND__WEBHOOKS__LISTEN", "[::]:8080"),
        ("CONVERSATIOND_LOG", "debug"),
        ("PATH", "/bin"),
    ]);
    let config = config.unwrap();
    assert_eq!((config.fetch.concurrency, config.fetch.requests_per_second.get()), (7, 4));
    assert_eq!(config.webhooks_listen, address("[::]:8080"));
    assert!(config.ncco.is_none());
}

#[test]
fn applications_can_come_from_the_environment_in_any_order() {
    let place = Place::new("");
    let key = place.write("a.key", &PRIVATE_KEY);
    let secret = place.write("a.secret", " a signature secret of more than 32 bytes \n");
    let secrets = format!("[{secret:?}]");
    let mut variables = vec![
        ("CONVERSATIOND__APPLICATION__ID", APPLICATION),
        ("CONVERSATIOND__APPLICATION__PRIVATE_KEY_FILE", key.as_str()),
        ("CONVERSATIOND__APPLICATION__SIGNATURE_SECRET_FILES", secrets.as_str()),
        ("CONVERSATIOND__APPLICATION__1__ID", OTHER_APPLICATION),
        ("CONVERSATIOND__APPLICATION__1__PRIVATE_KEY_FILE", key.as_str()),
        ("CONVERSATIOND__APPLICATION__1__SIGNATURE_SECRET_FILES", secrets.as_str()),
    ];
    for _ in 0..2 {
        let config = place.load(&variables).unwrap();
        let ids: Vec<&str> = config.applications.iter().map(|application| application.id.as_str()).collect();
        assert_eq!(ids, [APPLICATION, OTHER_APPLICATION]);
        assert!(config.signed.voice);
        let secret = config.applications[0].signature_secrets.first().unwrap();
        assert_eq!(secret.expose_secret(), "a signature secret of more than 32 bytes");
        variables.reverse();
    }
}

#[test]
fn a_variable_that_stands_for_no_key_is_a_fault() {
    for variable in [
        "CONVERSATIOND__FETCH__CONCURENCY",
        "CONVERSATIOND__FETCH",
        "CONVERSATIOND__NOWHERE__KEY",
        "CONVERSATIOND__FETCH__A__B",
        "CONVERSATIOND__APPLICATION__7__ID",
        "CONVERSATIOND__APPLICATION__0__NAME",
    ] {
        let faults = Place::new("").load(&[(variable, "1")]).unwrap_err();
        assert!(places(&faults).contains(&variable), "{faults}");
    }
}

#[test]
fn a_variable_that_stands_for_no_key_is_told_with_those_that_there_are() {
    let sections = "it is CONVERSATIOND__SECTION__KEY, and the sections are answer, event, fetch, query, reconcile, \
                    retention, store, webhooks, application";
    let of_application =
        "known in [[application]] are api_key, api_url, id, private_key_file, signature_secret_files";
    for (variable, known) in [
        ("CONVERSATIOND__FOO", sections),
        ("CONVERSATIOND__NOWHERE__KEY", sections),
        ("CONVERSATIOND__STORE__PATH", "known in [store] are url"),
        ("CONVERSATIOND__APPLICATION__NAME", of_application),
        ("CONVERSATIOND__APPLICATION__0__NAME", of_application),
        ("CONVERSATIOND__APPLICATION__7__ID", "applications are numbered from 0, and no number is left out"),
    ] {
        let faults = Place::new("").load(&[(variable, "1")]).unwrap_err();
        let told = format!("{variable}: stands for no key: {known}");
        assert!(faults.to_string().lines().any(|line| line == told), "{faults}");
    }
}

#[test]
fn the_file_is_the_one_that_is_named() {
    let place = Place::new("[fetch]\nconcurrency = 3");
    let other = place.write("other.toml", "[fetch]\nconcurrency = 4");
    let by_variable =
        |named: Option<&Path>| Config::load(named, &environment(&[("CONVERSATIOND_CONFIG", &other)]));
    assert_eq!(by_variable(None).unwrap().fetch.concurrency, 4);
    assert_eq!(by_variable(Some(&place.file())).unwrap().fetch.concurrency, 3);
    let nowhere = place.directory.path().join("nowhere.toml");
    let faults = Config::load(Some(&nowhere), &Environment::default()).unwrap_err();
    assert!(faults.to_string().contains("nowhere.toml: cannot be read"), "{faults}");
}

// === where files are

#[test]
fn a_relative_store_is_in_the_state_directory() {
    let store = |url: &str, variables: &[(&str, &str)]| {
        Place::new(&format!("[store]\nurl = \"{url}\"")).load(variables).unwrap().store
    };
    let state = [("STATE_DIRECTORY", "/var/lib/conversationd:/var/lib/other")];
    assert_eq!(store("sqlite:a/b.db", &[]), PathBuf::from("a/b.db"));
    assert_eq!(store("sqlite:a/b.db", &[("STATE_DIRECTORY", "")]), PathBuf::from("a/b.db"));
    assert_eq!(store("sqlite:a/b.db", &state), PathBuf::from("/var/lib/conversationd/a/b.db"));
    assert_eq!(store("sqlite:/srv/b.db", &state), PathBuf::from("/srv/b.db"));
    assert_eq!(store("sqlite:///srv/b.db?mode=rwc", &[]), PathBuf::from("/srv/b.db"));
    for url in ["", "sqlite:", "postgres://localhost/x", "conversationd.db"] {
        let faults = Place::new(&format!("[store]\nurl = \"{url}\"")).load(&[]).unwrap_err();
        assert_eq!(places(&faults), ["store.url"], "{url}");
    }
}

#[test]
fn a_credential_goes_before_a_file_of_that_name() {
    let place = Place::new(&format!(
        "[[application]]\nid = \"{APPLICATION}\"\nsignature_secret_files = [\"hook.secret\"]"
    ));
    place.credentials("private.key", &PRIVATE_KEY);
    let credentials = place.credentials("hook.secret", "from the credential");
    let config = place.load(&[("CREDENTIALS_DIRECTORY", &credentials)]).unwrap();
    let secret = config.applications[0].signature_secrets.first().unwrap();
    assert_eq!(secret.expose_secret(), "from the credential");
    // An absolute path means that file and no other.
    let own = format!("[{:?}]", place.write("hook.secret", "from the file"));
    let variables = [
        ("CREDENTIALS_DIRECTORY", &*credentials),
        ("CONVERSATIOND__APPLICATION__SIGNATURE_SECRET_FILES", &own),
    ];
    let config = place.load(&variables).unwrap();
    assert_eq!(config.applications[0].signature_secrets.first().unwrap().expose_secret(), "from the file");
}

#[test]
fn what_is_in_force_is_shown_without_secrets() {
    let place = Place::new("");
    let application = place.application("signature_secret_files = [\"{secret}\"]\napi_key = \"a1b2c3d4\"");
    place.rewrite(&application);
    let config = place.load(&[]).unwrap();
    for shown in [config.effective(), config.effective_json(), format!("{config:?}")] {
        assert!(!shown.contains("a signature secret") && !shown.contains("PRIVATE KEY-"), "{shown}");
    }
    assert!(config.effective().contains("a1b2c3d4"));
    assert_eq!(config.applications[0].api_key.as_deref(), Some("a1b2c3d4"));
}

// === faults

#[test]
fn all_faults_are_told_at_once() {
    let place = Place::new(
        r#"
        colour = "red"
        [webhooks]
        listen = "everywhere"
        max_body_bytes = 12
        signatures = "sometimes"
        [query]
        listen = "0.0.0.0:3001"
        default_country = "England"
        [answer]
        ncco_file = "/nowhere/ncco.json"
        [store]
        url = "mysql:x"
        [fetch]
        api_version = "v2"
        requests_per_second = 0
        concurrency = "many"
        poll_interval = "soon"
        give_up_after = "-1s"
        retries = 3
        [retention]
        snapshots = "365d"
        [[application]]
        id = "not an id"
        private_key_file = "/nowhere/private.key"
        api_url = "http://api.nexmo.com"
        "#,
    );
    let faults = place.load(&[("CONVERSATIOND__EVENT__FORWARD_URL", "ftp://example.net")]).unwrap_err();
    let mut told = places(&faults);
    told.sort_unstable();
    assert_eq!(
        told,
        [
            "answer.ncco_file",
            "application[1].api_url",
            "application[1].id",
            "application[1].private_key_file",
            "colour",
            "event.forward_url",
            "fetch.api_version",
            "fetch.concurrency",
            "fetch.give_up_after",
            "fetch.poll_interval",
            "fetch.requests_per_second",
            "fetch.retries",
            "query.default_country",
            "query.listen",
            "retention.snapshots",
            "store.url",
            "webhooks.listen",
            "webhooks.max_body_bytes",
            "webhooks.signatures",
        ]
    );
    assert_eq!(faults.to_string().lines().count(), told.len());
}

#[test]
fn a_key_or_type_that_does_not_fit_is_named_with_what_would() {
    for (file, expected) in [
        ("[fetch]\npol_interval = \"1s\"", "fetch.pol_interval: there is no such key; known here are "),
        (
            "[fetch]\nconcurrency = \"16\"",
            "fetch.concurrency: must be a whole number, but is a text in quotes",
        ),
        ("[fetch]\nevents = 1", "fetch.events: must be true or false, but is a whole number"),
        ("fetch = 1", "fetch: must be a section, but is a whole number"),
        ("[application]\nid = \"x\"", "application: is a list: write [[application]] with two brackets"),
        ("application = [1]", "application[1]: is a block of keys: write [[application]]"),
    ] {
        let faults = Place::new(file).load(&[]).unwrap_err();
        assert!(faults.to_string().contains(expected), "{faults}");
    }
    let faults = Place::new("[fetch").load(&[]).unwrap_err();
    assert!(faults.0.len() == 1 && faults.to_string().contains("is not TOML"), "{faults}");
}

#[test]
fn webhooks_are_passed_on_to_another_address_only() {
    let load = |section: &str, url: &str, listen: &str| {
        let file = format!("[webhooks]\nlisten = \"{listen}\"\n[{section}]\nforward_url = \"{url}\"");
        Place::new(&file).load(&[])
    };
    for section in ["answer", "event"] {
        for (url, listen) in [
            ("https://calls.example.com/answer?key=1", "127.0.0.1:3000"),
            ("http://10.0.0.7:8080/webhooks/answer", "127.0.0.1:3000"),
            ("http://127.0.0.1:3001/webhooks/answer", "127.0.0.1:3000"),
            ("http://127.0.0.2:3000/webhooks/answer", "127.0.0.1:3000"),
            ("http://localhost/webhooks/answer", "127.0.0.1:3000"),
        ] {
            let config = load(section, url, listen).unwrap_or_else(|faults| panic!("{url}: {faults}"));
            let forward = if section == "answer" { &config.answer_forward } else { &config.event_forward };
            assert_eq!(forward.as_ref().map(url::Url::as_str), Some(url));
        }
        for (url, listen, expected) in [
            ("ftp://example.net/", "127.0.0.1:3000", "must be an http:// or https://"),
            ("example.net", "127.0.0.1:3000", "must be an http:// or https://"),
            ("https://user@example.net/", "127.0.0.1:3000", "must be an http:// or https://"),
            ("https://:secret@example.net/", "127.0.0.1:3000", "must be an http:// or https://"),
            ("http://127.0.0.1:3000/webhooks/answer", "127.0.0.1:3000", "own webhooks.listen"),
            ("http://localhost:3000/webhooks/event", "127.0.0.1:3000", "own webhooks.listen"),
            ("http://localhost:3000/webhooks/event", "[::1]:3000", "own webhooks.listen"),
            ("http://127.0.0.1:3000/webhooks/a/event", "0.0.0.0:3000", "own webhooks.listen"),
            ("http://[::1]:3000/webhooks/event", "[::]:3000", "own webhooks.listen"),
            ("http://10.0.0.7/webhooks/event", "10.0.0.7:80", "own webhooks.listen"),
        ] {
            let faults = load(section, url, listen).unwrap_err();
            assert_eq!(places(&faults), [format!("{section}.forward_url").as_str()], "{url}");
            assert!(faults.to_string().contains(expected), "{url}: {faults}");
            assert!(!faults.to_string().contains("secret"), "{faults}");
        }
    }
    let slow = "[answer]\nforward_url = \"https://example.net/\"\nforward_timeout = \"6s\"";
    let warnings = Place::new(slow).load(&[]).unwrap().warnings().join("\n");
    assert!(
        warnings.contains("while answer.forward_url fails") && warnings.contains("longer than 4 s"),
        "{warnings}"
    );
}

#[test]
fn the_token_goes_to_a_safe_address_only() {
    let place = Place::new("");
    let load = |url: &str| {
        place.rewrite(&place.application(&format!("api_url = \"{url}\"")));
        place.load(&[])
    };
    for url in [
        "https://api.nexmo.com",
        "https://api-eu-3.vonage.com/base/",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
        "http://localhost:8080",
    ] {
        assert!(load(url).is_ok(), "{url}");
    }
    for url in [
        "http://api.nexmo.com",
        "http://10.0.0.1",
        "http://localhost.example.net",
        "http://127.0.0.1.example.net",
        "ftp://127.0.0.1",
        "https://user@api.nexmo.com",
        "https://user:word@api.nexmo.com",
        "https://api.nexmo.com/?a=b",
        "https://api.nexmo.com/#a",
        "api.nexmo.com",
        "",
    ] {
        assert_eq!(places(&load(url).unwrap_err()), ["application[1].api_url"], "{url}");
    }
}

#[test]
fn readers_connect_on_loopback_only_and_not_where_vonage_does() {
    let load = |public: &str, private: &str| {
        let file = format!("[webhooks]\nlisten = \"{public}\"\n[query]\nlisten = \"{private}\"");
        Place::new(&file).load(&[])
    };
    assert!(load("0.0.0.0:3000", "[::1]:3001").is_ok());
    assert!(load("127.0.0.1:0", "127.0.0.1:0").is_ok());
    for (public, private) in [
        ("0.0.0.0:3000", "0.0.0.0:3001"),
        ("0.0.0.0:3000", "10.0.0.1:3001"),
        ("127.0.0.1:3000", "127.0.0.1:3000"),
    ] {
        assert_eq!(places(&load(public, private).unwrap_err()), ["query.listen"], "{private}");
    }
}

const DIGEST: &str = "0123456789abcdefABCDEF01234567890123456789abcdefABCDEF0123456789";

/// A token of the configuration; `{digest}` in `keys` is a digest.
fn token(keys: &str) -> String {
    format!("{{ {} }}", keys.replace("{digest}", DIGEST))
}

#[test]
fn readers_have_names_digests_and_scopes() {
    let listed =
        format!("[{}]", token("name = \"audit\", sha256 = \"{digest}\", scopes = [\"read\", \"raw\"]"));
    let in_file = Place::new(&format!("[query]\nlisten = \"0.0.0.0:3001\"\ntokens = {listed}")).load(&[]);
    let variables =
        [("CONVERSATIOND__QUERY__TOKENS", &*listed), ("CONVERSATIOND__QUERY__LISTEN", "0.0.0.0:3001")];
    for config in [in_file.unwrap(), Place::new("").load(&variables).unwrap()] {
        let [reader] = &config.readers[..] else { panic!("{:?}", config.readers) };
        assert_eq!((reader.name.as_str(), &*reader.scopes), ("audit", &[Scope::Read, Scope::Raw][..]));
        assert_eq!(reader.digest.to_string(), DIGEST.to_lowercase());
        assert!(reader.may(Scope::Raw) && !reader.may(Scope::Admin));
        assert!(config.effective().contains(DIGEST) && config.effective_json().contains("audit"));
    }
}

#[test]
fn a_faulty_token_is_told_with_its_place() {
    let good = token("name = \"good\", sha256 = \"{digest}\", scopes = [\"read\"]");
    for (faulty, places_told) in [
        ("sha256 = \"{digest}\", scopes = [\"read\"]", &["name"][..]),
        ("name = \" \", sha256 = \"00\", scopes = [\"read\"]", &["name", "sha256"]),
        ("name = \"a\", sha256 = \"{digest}0\", scopes = [\"read\"]", &["sha256"]),
        ("name = \"good\", sha256 = \"{digest}\", scopes = [\"raw\"]", &["name", "sha256"]),
        ("name = \"a\", sha256 = 1, scopes = []", &["scopes", "sha256"]),
        ("name = \"a\", sha256 = \"zz\", scopes = [\"write\"], scope = 1", &["scope", "scopes", "sha256"]),
        ("name = \"a\", sha256 = \"\", scopes = \"read\"", &["scopes", "sha256"]),
    ] {
        let list = format!("[query]\nlisten = \"0.0.0.0:0\"\ntokens = [{good}, {}]", token(faulty));
        let faults = Place::new(&list).load(&[]).unwrap_err();
        let mut told = places(&faults);
        told.sort_unstable();
        let expected: Vec<String> =
            places_told.iter().map(|place| format!("query.tokens[2].{place}")).collect();
        assert_eq!(told, expected, "{faulty}: {faults}");
    }
    let faults = Place::new("[query]\ntokens = [\"cvd_1\"]").load(&[]).unwrap_err();
    assert_eq!(places(&faults), ["query.tokens[1]"]);
    assert!(!faults.to_string().contains("cvd_1"), "{faults}");
}

#[test]
fn without_a_token_it_is_said_how_to_make_one() {
    let faults = Place::new("[query]\nlisten = \"0.0.0.0:3001\"").load(&[]).unwrap_err();
    assert!(faults.to_string().contains("conversationd token new NAME"), "{faults}");
}

#[test]
fn a_country_is_one_of_those_that_have_numbers() {
    let load = |code: &str| Place::new(&format!("[query]\ndefault_country = \"{code}\"")).load(&[]);
    assert_eq!(load("GB").unwrap().default_country, Some(phonenumber::country::GB));
    for code in ["gb", "XX", "GBR", "44", " "] {
        assert_eq!(places(&load(code).unwrap_err()), ["query.default_country"], "{code}");
    }
}

#[test]
fn where_signatures_are_due_each_application_has_a_secret() {
    let place = Place::new("");
    let load = |signatures: &str, applications: &[&str]| {
        let blocks: Vec<String> = applications.iter().map(|more| place.application(more)).collect();
        let two = blocks.join("\n").replacen(APPLICATION, OTHER_APPLICATION, 1);
        place.rewrite(&format!("[webhooks]\nsignatures = \"{signatures}\"\n{two}"));
        place.load(&[])
    };
    let (with, without) = ("signature_secret_files = [\"{secret}\"]", "");
    assert!(load("auto", &[with]).unwrap().signed.voice);
    assert!(!load("auto", &[without]).unwrap().signed.voice);
    assert!(!load("off", &[with]).unwrap().signed.voice);
    assert!(load("required", &[with, with]).unwrap().signed.voice);
    let of_rtc = |signatures: &str, rtc_signatures: &str, applications: &[&str]| {
        load(&format!("{signatures}\"\nrtc_signatures = \"{rtc_signatures}"), applications)
    };
    for (signatures, rtc_signatures, voice, rtc) in [
        ("auto", "same", true, true),
        ("auto", "off", true, false),
        ("auto", "required", true, true),
        ("off", "same", false, false),
        ("off", "required", false, true),
        ("required", "off", true, false),
    ] {
        let config = of_rtc(signatures, rtc_signatures, &[with]).unwrap();
        assert_eq!((config.signed.voice, config.signed.rtc), (voice, rtc), "{signatures} {rtc_signatures}");
        let warns = |of: &str| config.warnings().iter().any(|warning| warning.contains(of));
        assert_eq!(warns("webhooks are not checked"), !voice, "{signatures} {rtc_signatures}");
        assert_eq!(warns("rtc_signatures is"), voice && !rtc, "{signatures} {rtc_signatures}");
    }
    for (signatures, applications, expected) in [
        ("off", &[][..], "webhooks.rtc_signatures"),
        ("off", &[without], "application[1].signature_secret_files"),
        ("auto", &[with, without], "application[2].signature_secret_files"),
    ] {
        let faults = of_rtc(signatures, "required", applications).unwrap_err();
        assert_eq!(places(&faults), [expected], "{signatures} {applications:?}");
    }
    assert_eq!(places(&of_rtc("off", "auto", &[with]).unwrap_err()), ["webhooks.rtc_signatures"]);
    for (signatures, applications, expected) in [
        ("required", &[][..], "webhooks.signatures"),
        ("required", &[without], "application[1].signature_secret_files"),
        ("required", &[with, without], "application[2].signature_secret_files"),
        ("auto", &[without, with], "application[1].signature_secret_files"),
    ] {
        let faults = load(signatures, applications).unwrap_err();
        assert_eq!(places(&faults), [expected], "{signatures} {applications:?}");
    }
}

#[test]
fn a_file_that_holds_more_or_less_than_a_secret_says_what_to_do() {
    let place = Place::new("");
    let secret = "a signature secret of more than 32 bytes";
    place.rewrite(&place.application("signature_secret_files = [\"{secret}\", \"{secret}.new\"]"));
    for (content, what_to_do) in [
        (format!("\u{feff}{secret}\n"), "without one"),
        (format!("\"{secret}\"\n"), "remove them"),
        (format!("'{secret}'"), "remove them"),
        (format!("\u{201c}{secret}\u{201d}"), "remove them"),
        (format!("{secret}\n{secret}\n"), "name two files"),
        (format!("{secret}\r\n\r\n# old\r\n"), "name two files"),
        (format!("{secret}\0"), "alone"),
        (String::new(), "it must hold the account's signature secret"),
        (" \r\n\t".to_owned(), "it must hold the account's signature secret"),
    ] {
        place.write("hook.secret.new", &content);
        let faults = place.load(&[]).unwrap_err();
        assert_eq!(places(&faults), ["application[1].signature_secret_files"], "{content:?}: {faults}");
        let told = faults.to_string();
        assert!(told.contains("hook.secret.new ") && told.contains(what_to_do), "{content:?}: {told}");
        assert!(!told.contains(secret), "{told}");
    }
    fs::write(place.directory.path().join("hook.secret.new"), b"\xff\xfea\0").unwrap();
    assert!(place.load(&[]).unwrap_err().to_string().contains("is not text in UTF-8"));
    for content in ["another secret \n", " \tanother secret", "another secret\r\n", "another secret\n\n"] {
        place.write("hook.secret.new", content);
        let config = place.load(&[]).unwrap();
        let secrets = config.applications[0].signature_secrets.iter().map(ExposeSecret::expose_secret);
        assert_eq!(secrets.collect::<Vec<_>>(), [secret, "another secret"], "{content:?}");
    }
    for wrong in ["[\"\"]", "[1]", "\"hook.secret\""] {
        place.rewrite(&place.application(&format!("signature_secret_files = {wrong}")));
        let faults = place.load(&[]).unwrap_err();
        assert_eq!(places(&faults), ["application[1].signature_secret_files"], "{wrong}: {faults}");
        assert!(faults.to_string().contains("list"), "{wrong}: {faults}");
    }
}

#[test]
fn a_file_that_is_none_or_never_ends_is_a_fault_at_once() {
    let place = Place::new("");
    let pipe = place.directory.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let large = place.write("large", &"x".repeat(1_100_000));
    let directory = place.directory.path().to_str().unwrap();
    for file in [pipe.to_str().unwrap(), "/dev/zero", &large, directory] {
        place.rewrite(&format!(
            "[answer]\nncco_file = \"{file}\"\n[[application]]\nid = \"{APPLICATION}\"\n\
             private_key_file = \"{file}\"\nsignature_secret_files = [\"{file}\"]"
        ));
        let faults = place.load(&[]).unwrap_err();
        let expected =
            ["answer.ncco_file", "application[1].private_key_file", "application[1].signature_secret_files"];
        assert_eq!(places(&faults), expected, "{file}: {faults}");
        assert!(faults.0.iter().all(|fault| fault.message.contains(file)), "{file}: {faults}");
    }
}

#[test]
fn a_secret_that_every_user_can_read_is_warned_of() {
    let place = Place::new("");
    place.rewrite(&place.application("signature_secret_files = [\"{secret}\"]"));
    let warned = |name: &str, mode: u32| {
        let file = place.directory.path().join(name);
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let warnings = place.load(&[]).unwrap().warnings();
        warnings.iter().any(|warning| warning.contains(&format!("{} can be read", file.display())))
    };
    for name in ["private.key", "hook.secret"] {
        for (mode, expected) in [(0o644, true), (0o604, true), (0o640, false), (0o600, false)] {
            assert_eq!(warned(name, mode), expected, "{name} {mode:o}");
        }
    }
}

#[test]
fn an_empty_secret_is_a_fault_and_never_no_secret() {
    let place = Place::new("");
    for signatures in ["auto", "required", "off"] {
        for content in ["", " \n"] {
            place.rewrite(&format!(
                "[webhooks]\nsignatures = \"{signatures}\"\n{}",
                place.application("signature_secret_files = [\"{secret}\"]")
            ));
            place.write("hook.secret", content);
            let faults = place.load(&[]).unwrap_err();
            assert_eq!(places(&faults), ["application[1].signature_secret_files"], "{signatures}: {faults}");
        }
    }
}

#[test]
fn a_secret_that_cannot_be_read_is_told_once_and_the_others_keep_their_numbers() {
    let place = Place::new("");
    let missing = place.application("signature_secret_files = [\"/nowhere/hook.secret\"]");
    for signatures in ["auto", "required"] {
        place.rewrite(&format!("webhooks.signatures = \"{signatures}\"\n{missing}"));
        assert_eq!(places(&place.load(&[]).unwrap_err()), ["application[1].signature_secret_files"]);
        let without = place.application("").replace(APPLICATION, OTHER_APPLICATION);
        place.rewrite(&format!("webhooks.signatures = \"{signatures}\"\n{missing}{without}"));
        assert_eq!(
            places(&place.load(&[]).unwrap_err()),
            ["application[1].signature_secret_files", "application[2].signature_secret_files"]
        );
    }
}

#[test]
fn an_id_or_a_secret_that_vonage_would_not_give_is_warned_of() {
    let place = Place::new("");
    let warnings = |id: &str, secret: &str| {
        let application = place.application("signature_secret_files = [\"{secret}\"]");
        place.rewrite(&application.replace(APPLICATION, id));
        place.write("hook.secret", secret);
        let config = place.load(&[]).unwrap();
        let warnings = config.warnings();
        warnings.into_iter().filter(|warning| warning.starts_with("application[1]")).collect::<Vec<_>>()
    };
    let long = "x".repeat(32);
    assert_eq!(warnings(APPLICATION, &long), Vec::<String>::new());
    let [id] = &warnings("my-application", &long)[..] else { panic!("one warning is due") };
    assert!(id.contains("application[1].id is no UUID"), "{id}");
    let [secret] = &warnings(APPLICATION, &long[1..])[..] else { panic!("one warning is due") };
    assert!(secret.contains("signature_secret_files holds less than 32 bytes"), "{secret}");
    assert!(!secret.contains("xxx"), "{secret}");
}

#[test]
fn a_key_that_cannot_sign_is_called_what_it_is() {
    let place = Place::new("");
    place.rewrite(&place.application(""));
    let told = |key: &str| {
        place.write("private.key", key);
        place.load(&[]).map_or_else(|faults| faults.to_string(), |_| "valid".to_owned())
    };
    assert_eq!(told(&PRIVATE_KEY), "valid");
    let names = data::names("keys");
    assert_eq!(names.len(), 6);
    for name in names {
        let expected = match name.trim_end_matches(".pem").trim_end_matches("-pkcs1") {
            "elliptic" => "is not an RSA private key",
            "encrypted" => "is an encrypted key",
            "public" => "is a public key",
            "short" => "is an RSA key of less than 2048 bits",
            other => panic!("{other} has no verdict here"),
        };
        let found = told(&String::from_utf8(data::bytes(&format!("keys/{name}"))).unwrap());
        assert!(
            found.starts_with("application[1].private_key_file: ") && found.contains(expected),
            "{name}: {found}"
        );
    }
}

#[test]
fn listeners_that_take_each_others_address_are_a_fault() {
    let token = "tokens = [{ name = \"a\", sha256 = \"00\", scopes = [\"read\"] }]";
    let token = token.replace("\"00\"", &format!("\"{}\"", "0".repeat(64)));
    for (public, private, clash) in [
        ("127.0.0.1:3999", "127.0.0.1:3999", true),
        ("0.0.0.0:3999", "127.0.0.1:3999", true),
        ("127.0.0.1:3999", "0.0.0.0:3999", true),
        ("[::]:3999", "127.0.0.1:3999", true),
        ("[::]:3999", "[::1]:3999", true),
        ("0.0.0.0:3999", "[::]:3999", true),
        ("0.0.0.0:3999", "[::1]:3999", false),
        ("127.0.0.1:3999", "[::1]:3999", false),
        ("127.0.0.2:3999", "127.0.0.1:3999", false),
        ("0.0.0.0:3999", "127.0.0.1:4000", false),
        ("127.0.0.1:0", "127.0.0.1:0", false),
    ] {
        let file = format!("[webhooks]\nlisten = \"{public}\"\n[query]\nlisten = \"{private}\"\n{token}");
        let faults = Place::new(&file).load(&[]).err();
        let told = faults.as_ref().map(places);
        assert_eq!(told, clash.then(|| vec!["query.listen"]), "{public} {private}");
    }
}

#[test]
fn a_duration_that_will_not_do_says_which_would() {
    for (key, text, told) in [
        ("fetch.give_up_after", "9999999h", "at most a year"),
        ("fetch.give_up_after", "0s", "at least 1s"),
        ("fetch.give_up_after", "soon", "such as"),
        ("reconcile.interval", "1ms", "at least 10s, or \"0s\""),
        ("reconcile.interval", "9s 999ms", "at least 10s, or \"0s\""),
        ("reconcile.interval", "-1s", "at least 0s"),
        ("reconcile.interval", "366d", "such as"),
        ("reconcile.interval", "8761h", "at most a year"),
    ] {
        let faults = Place::new(&format!("{key} = \"{text}\"")).load(&[]).unwrap_err();
        assert_eq!(places(&faults), [key], "{text}");
        assert!(faults.to_string().contains(told), "{key} {text}: {faults}");
    }
    for text in ["0s", "10s", "8760h"] {
        Place::new(&format!("reconcile.interval = \"{text}\"")).load(&[]).unwrap();
    }
}

#[test]
fn a_key_that_is_none_is_a_fault() {
    let place = Place::new("");
    for key in ["", "not a key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        place.rewrite(&place.application(""));
        place.write("private.key", key);
        assert_eq!(places(&place.load(&[]).unwrap_err()), ["application[1].private_key_file"], "{key}");
    }
}

#[test]
fn an_application_is_there_once() {
    let place = Place::new("");
    place.rewrite(&[place.application(""), place.application("")].join("\n"));
    assert_eq!(places(&place.load(&[]).unwrap_err()), ["application[2].id"]);
}

#[test]
fn a_call_flow_is_an_array_of_actions() {
    let place = Place::new("");
    for (content, accepted) in [
        ("[]", true),
        (r#"[{"action":"talk","text":"Hello"}]"#, true),
        (r#"{"action":"talk"}"#, false),
        (r#"[{"text":"Hello"}]"#, false),
        ("[1]", false),
        ("[", false),
        ("", false),
    ] {
        let ncco = place.write("ncco.json", content);
        let loaded = place.load(&[("CONVERSATIOND__ANSWER__NCCO_FILE", &ncco)]);
        match loaded {
            Ok(config) => assert!(accepted && config.ncco.is_some(), "{content}"),
            Err(faults) => {
                assert!(!accepted && places(&faults) == ["answer.ncco_file"], "{content}: {faults}");
            }
        }
    }
}

// === the places

/// A directory with a configuration file in it.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new(file: &str) -> Self {
        let place = Self { directory: TempDir::new().expect("a directory can be made") };
        place.rewrite(file);
        place
    }

    fn rewrite(&self, file: &str) {
        self.write("conversationd.toml", file);
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("conversationd.toml")
    }

    fn load(&self, variables: &[(&str, &str)]) -> Result<Config, Faults> {
        Config::load(Some(&self.file()), &environment(variables))
    }

    /// Writes a file and returns its path.
    fn write(&self, name: &str, content: &str) -> String {
        let path = self.directory.path().join(name);
        fs::write(&path, content).expect("the file can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("the file is the test's");
        path.to_str().expect("the path is a text").to_owned()
    }

    /// Writes a credential and returns the directory that systemd would name.
    fn credentials(&self, name: &str, content: &str) -> String {
        let directory = self.directory.path().join("credentials");
        fs::create_dir_all(&directory).expect("a directory can be made");
        fs::write(directory.join(name), content).expect("the file can be written");
        let permissions = fs::Permissions::from_mode(0o400);
        fs::set_permissions(directory.join(name), permissions).expect("the file is the test's");
        directory.to_str().expect("the path is a text").to_owned()
    }

    /// An application with a key, and with more lines; `{secret}` in them is a file with a secret.
    fn application(&self, more: &str) -> String {
        let key = self.write("private.key", &PRIVATE_KEY);
        let secret = self.write("hook.secret", "a signature secret of more than 32 bytes\n");
        let more = more.replace("{secret}", &secret);
        format!("[[application]]\nid = \"{APPLICATION}\"\nprivate_key_file = \"{key}\"\n{more}\n")
    }
}

/// Every key of the shipped file with its section and default.
fn keys() -> Vec<(String, String, Value)> {
    let shipped: Table = DEFAULT_FILE.parse().expect("the shipped file is TOML");
    let sections = shipped.into_iter().map(|(section, keys)| match keys {
        Value::Table(keys) => keys.into_iter().map(move |(key, default)| (section.clone(), key, default)),
        other => panic!("{section} is {other} and no section"),
    });
    sections.flatten().collect()
}

fn places(faults: &Faults) -> Vec<&str> {
    faults.0.iter().map(|fault| fault.place.as_str()).collect()
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment::new(
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    )
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("it is an address")
}
