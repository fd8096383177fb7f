//! What may be shown and searched of a text that somebody else wrote.
//!
//! The address of a WebSocket or SIP endpoint carries whatever the application authenticates with: user info, a
//! query, parameters. [`shown`] leaves out all of that, and decides it for every text that is derived from a webhook,
//! a document or a list; in doubt it leaves out more.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::conversation::Interpretation;
use super::visible::typed;

/// What stands where a secret stood.
pub const REDACTED: &str = "[redacted]";

/// Parts of names that mark a secret, in lower case without `-` and `_`.
pub const SECRET_NAMES: [&str; 16] = [
    "password",
    "passwd",
    "secret",
    "token",
    "authorization",
    "apikey",
    "credential",
    "privatekey",
    "cookie",
    "jwt",
    "passphrase",
    "bearer",
    "session",
    "signature",
    "pwd",
    "accesskey",
];

/// Schemes that are addresses without `//` too. The first are those whose user is who is called.
const CALLED: [&str; 6] = ["sip", "sips", "tel", "callto", "mailto", "xmpp"];
const OTHERS: [&str; 10] = ["ws", "wss", "http", "https", "ftp", "turn", "turns", "stun", "rtmp", "rtmps"];

/// Parameters of a SIP or telephone address that say how or whom to call.
const HARMLESS_PARAMETERS: [&str; 6] = ["transport", "user", "lr", "ext", "isub", "phone-context"];

/// Longer than any number, name or address that is called.
const MAX_BYTES: usize = 2048;

/// How much of a text is read at all: more than any address with a token or two in its query.
const MAX_READ_BYTES: usize = 16 * 1024;

/// How many addresses of one text are shown: more than any message names. What follows them is left out.
const MAX_ADDRESSES: usize = 8;

/// How often an address may have been percent-encoded.
const MAX_ENCODINGS: usize = 8;

/// The text without the secrets of the addresses in it: no password, no user info but whom a SIP address calls, no
/// query, no fragment, no parameter that is not known to be harmless; and no longer than any party's.
#[must_use]
pub fn shown(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'+');
    if text.len() <= MAX_BYTES && text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let read = &text[..text.floor_char_boundary(MAX_READ_BYTES)];
    // As it would be typed: what looks like an address is one, however wide its colon.
    let typed = typed(read);
    let decoded = decoded(&typed);
    let clean =
        if read.len() < text.len() { begun_without_secrets(&decoded) } else { without_secrets(&decoded) };
    let is_clean = clean == *typed && text.len() <= MAX_BYTES;
    if is_clean { Cow::Borrowed(text) } else { Cow::Owned(shortened(clean)) }
}

/// The same of a text that may be missing.
#[must_use]
pub fn shown_option(text: Option<String>) -> Option<String> {
    text.map(|text| match shown(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(shown) => shown,
    })
}

/// The same of all that is understood of a conversation.
#[must_use]
pub fn shown_interpretation(mut one: Interpretation) -> Interpretation {
    let texts =
        [&mut one.name, &mut one.direction, &mut one.from, &mut one.to, &mut one.price, &mut one.status];
    texts.into_iter().for_each(show);
    for named in &mut one.other_parties {
        named.party = shown(&named.party).into_owned();
    }
    for member in &mut one.members {
        [&mut member.user_id, &mut member.name, &mut member.state].into_iter().for_each(show);
        if let Some(channel) = &mut member.channel {
            [&mut channel.kind, &mut channel.from, &mut channel.to].into_iter().for_each(show);
        }
        for state in &mut member.states {
            state.state = shown(&state.state).into_owned();
        }
    }
    for leg in &mut one.legs {
        let texts = [&mut leg.direction, &mut leg.from, &mut leg.to, &mut leg.status, &mut leg.price];
        texts.into_iter().for_each(show);
        for status in &mut leg.statuses {
            status.status = shown(&status.status).into_owned();
            show(&mut status.detail);
        }
    }
    one
}

fn show(text: &mut Option<String>) {
    *text = shown_option(text.take());
}

/// Whether a name is that of a secret.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(|character| !matches!(character, '-' | '_'))
        .flat_map(char::to_lowercase)
        .collect();
    SECRET_NAMES.iter().any(|secret| plain.contains(secret)) || plain == "auth"
}

/// The text without its percent signs, where they hide what marks an address. Backslashes count as slashes there.
fn decoded(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for _ in 0..MAX_ENCODINGS {
        let plain = percent_decode_str(&text).decode_utf8_lossy().into_owned();
        if plain == *text || !plain.contains([':', '@', '?', '#', '=', ';', '&', '%']) {
            break;
        }
        text = Cow::Owned(plain);
    }
    if text.contains('\\') && text.contains([':', '@']) { Cow::Owned(text.replace('\\', "/")) } else { text }
}

fn shortened(mut text: String) -> String {
    if text.len() > MAX_BYTES {
        text.truncate(text.floor_char_boundary(MAX_BYTES));
    }
    text
}

/// The beginning of a text, without what its unread end may make a secret: an `@` makes user info of all that is
/// before it in an address, and a dot makes a token of a word.
fn begun_without_secrets(text: &str) -> String {
    let before = Address::first_in(text).map_or(text, |address| address.before);
    let whole_words = &before[..before.rfind(char::is_whitespace).unwrap_or(0)];
    format!("{} {REDACTED}", words_without_secrets(whole_words)).trim_start().to_owned()
}

/// A loop and not a recursion: a text can be full of addresses, and the stack is not as long as a text.
fn without_secrets(text: &str) -> String {
    let mut clean = String::new();
    let mut left = text;
    for _ in 0..MAX_ADDRESSES {
        let Some(Address { before, scheme, rest }) = Address::first_in(left) else {
            return clean + &words_without_secrets(left);
        };
        clean += &words_without_secrets(before);
        clean += scheme;
        clean.push(':');
        if CALLED.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return clean + &called_address(rest);
        }
        let place = Place::of(rest);
        clean += place.slashes;
        clean += with_port(place.host);
        left = place.path;
    }
    clean
}

/// The first address in a text. It takes all that follows: a password may hold a blank.
struct Address<'a> {
    before: &'a str,
    scheme: &'a str,
    /// Behind the colon.
    rest: &'a str,
}

impl<'a> Address<'a> {
    fn first_in(text: &'a str) -> Option<Self> {
        text.match_indices(':').find_map(|(colon, _)| {
            let (head, rest) = (&text[..colon], &text[colon + 1..]);
            let is_of_scheme =
                |character: char| character.is_ascii_alphanumeric() || matches!(character, '+' | '-' | '.');
            let scheme = &head[head.trim_end_matches(is_of_scheme).len()..];
            let scheme = scheme.trim_start_matches(|character: char| !character.is_ascii_alphabetic());
            let is_known = CALLED.iter().chain(&OTHERS).any(|known| scheme.eq_ignore_ascii_case(known));
            let is_address = is_known || (!scheme.is_empty() && rest.starts_with("//"));
            is_address.then(|| Self { before: &head[..head.len() - scheme.len()], scheme, rest })
        })
    }
}

/// Whom a SIP or telephone address calls: `user@host`, the port, and parameters that are known to be harmless.
fn called_address(rest: &str) -> String {
    let slashes = rest.len() - rest.trim_start_matches('/').len();
    let (slashes, rest) = rest.split_at(slashes);
    let first = rest.find('@').map(|at| rest.split_at(at));
    let Some((user, host)) = first else { return format!("{slashes}{}", host_and_parameters(rest)) };
    // A password may hold whatever else divides an address.
    let host =
        if user.contains(':') { rest.rsplit_once('@').map_or("", |(_, host)| host) } else { &host[1..] };
    let user = user.split([':', ';', '?', '#', '&', '/', '=']).next().unwrap_or_default();
    format!("{slashes}{user}@{}", host_and_parameters(host))
}

fn host_and_parameters(text: &str) -> String {
    let text = text.split(['?', '#', '&', '/', '@']).next().unwrap_or_default();
    let (host, parameters) = text.split_once(';').unwrap_or((text, ""));
    let is_harmless = |parameter: &&str| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let is_plain =
            |character: char| character.is_ascii_alphanumeric() || matches!(character, '+' | '-' | '.');
        HARMLESS_PARAMETERS.iter().any(|known| name.eq_ignore_ascii_case(known))
            && value.chars().all(is_plain)
    };
    let harmless = parameters.split(';').filter(is_harmless).fold(String::new(), |all, one| all + ";" + one);
    let trailing = if text.ends_with('>') && !harmless.ends_with('>') { ">" } else { "" };
    format!("{}{harmless}{trailing}", with_port(host.trim_end_matches('>')))
}

/// Where a WebSocket or web address leads.
struct Place<'a> {
    slashes: &'a str,
    /// With what is behind its colon.
    host: &'a str,
    /// Without parameters. It may hold a further address.
    path: &'a str,
}

impl<'a> Place<'a> {
    fn of(rest: &'a str) -> Self {
        let slashes = rest.len() - rest.trim_start_matches('/').len();
        let (slashes, rest) = rest.split_at(slashes);
        let authority = rest.split(['/', '?', '#', ';', '&']).next().unwrap_or_default();
        let has_port = authority.split_once(':').is_none_or(|(_, port)| is_port(port));
        let place = if authority.contains('@') {
            let (_, host) = authority.rsplit_once('@').unwrap_or_default();
            &rest[authority.len() - host.len()..]
        } else if has_port {
            rest
        } else {
            // A password that should have been encoded: the host is behind the last '@' that is not in the query.
            let (before, _) =
                rest.split_once('?').filter(|(before, _)| before.contains('@')).unwrap_or((rest, ""));
            before.rsplit_once('@').map_or(rest, |(_, place)| place)
        };
        let place = place.split(['?', '#', ';', '&']).next().unwrap_or_default();
        let (host, path) = place.find('/').map_or((place, ""), |slash| place.split_at(slash));
        let path = match path.find('=') {
            Some(equals) => &path[..path[..equals].rfind('/').unwrap_or(0)],
            None => path,
        };
        Self { slashes, host, path }
    }
}

/// The host with its port; what is behind its colon and no port is no part of it.
fn with_port(host: &str) -> &str {
    if let Some(end) = host.find(']').filter(|_| host.starts_with('[')) {
        let port = &host[end + 1..];
        return if port.starts_with(':') && is_port(&port[1..]) { host } else { &host[..=end] };
    }
    match host.split_once(':') {
        Some((name, port)) if !is_port(port) => name,
        _ => host,
    }
}

fn is_port(text: &str) -> bool {
    let text = text.trim_end_matches('>');
    text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Text without an address that has a scheme: each word by itself, and what follows the name of a secret.
fn words_without_secrets(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut is_secret = false;
    for word in text.split_inclusive(char::is_whitespace) {
        let (word, blank) = word.split_at(word.trim_end().len());
        if word.is_empty() {
            clean.push_str(blank);
            continue;
        }
        let name = word.trim_end_matches([':', '=']);
        let announces = is_secret_scheme(word) || (name.len() < word.len() && is_secret_name(name));
        if is_secret && !announces {
            clean.push_str(REDACTED);
        } else {
            clean.push_str(&word_without_secrets(word));
        }
        is_secret = announces;
        clean.push_str(blank);
    }
    clean
}

/// The words of an `Authorization` header before what it holds.
fn is_secret_scheme(word: &str) -> bool {
    word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic")
}

fn word_without_secrets(word: &str) -> String {
    let mut clean = String::new();
    let mut left = word;
    for _ in 0..MAX_ADDRESSES {
        if !left.starts_with("//") {
            return clean + &bare_word_without_secrets(left);
        }
        let place = Place::of(left);
        clean += place.slashes;
        clean += with_port(place.host);
        left = place.path;
    }
    clean
}

/// A word that does not begin as an address without a scheme does.
fn bare_word_without_secrets(word: &str) -> String {
    if is_jwt(word) {
        return REDACTED.to_owned();
    }
    let word = match word.split_once('?') {
        Some((before, query)) if query.chars().any(char::is_alphanumeric) => before,
        _ => word,
    };
    if word.contains('@') {
        return called_address(word);
    }
    let pieces = word.split_inclusive(['&', ';', ',']).map(|piece| match piece.split_once(['=', ':']) {
        Some((name, value)) if is_secret_name(name) && !value.is_empty() => {
            let end = value.trim_end_matches(['&', ';', ',']).len();
            format!("{}{REDACTED}{}", &piece[..=name.len()], &value[end..])
        }
        _ => piece.to_owned(),
    });
    let clean: String = pieces.collect();
    // A path with a token, or a path that leads on.
    if clean.contains('/') { clean.split('/').map(segment).collect::<Vec<_>>().join("/") } else { clean }
}

fn segment(segment: &str) -> &str {
    if is_jwt(segment) { REDACTED } else { segment }
}

/// A signed token is three parts in Base64, of which the first is `{"…`.
fn is_jwt(word: &str) -> bool {
    word.starts_with("eyJ") && word.matches('.').count() >= 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        for (text, expected) in [
            ("wss://bot.example.com/stream", "wss://bot.example.com/stream"),
            ("wss://bot:pa55w0rd@bot.example.com/stream?mj_token=s3cr3t", "wss://bot.example.com/stream"),
            ("WSS://bot:pa55w0rd@bot.example.com:8443/stream#s3cr3t", "WSS://bot.example.com:8443/stream"),
            ("wss://s3cr3t@bot.example.com", "wss://bot.example.com"),
            ("wss://bot.example.com?s3cr3t", "wss://bot.example.com"),
            ("wss://bot.example.com/a;token=s3cr3t/b", "wss://bot.example.com/a"),
            ("wss://bot.example.com/a&token=s3cr3t", "wss://bot.example.com/a"),
            ("wss://bot.example.com/token=s3cr3t/b", "wss://bot.example.com"),
            ("wss://bot:s3/cr3t@bot.example.com/stream", "wss://bot.example.com/stream"),
            ("wss://bot:s3?cr3t@bot.example.com/stream", "wss://bot.example.com/stream"),
            ("wss://bot:s3@cr3t@bot.example.com/stream", "wss://bot.example.com/stream"),
            ("wss://bot:s3 cr3t@bot.example.com/stream", "wss://bot.example.com/stream"),
            ("wss:%2F%2Fbot:s3cr3t@bot.example.com%2Fstream%3Ft=1", "wss://bot.example.com/stream"),
            ("wss%3A%2F%2Fbot%3As3cr3t%40bot.example.com", "wss://bot.example.com"),
            ("wss%253A%252F%252Fbot%253As3cr3t%2540bot.example.com", "wss://bot.example.com"),
            ("w\u{200b}ss://bot:s3cr3t@bot.example.com", "wss://bot.example.com"),
            ("\u{ff57}ss\u{ff1a}//bot\u{ff1a}s3cr3t\u{ff20}bot.example.com", "wss://bot.example.com"),
            ("wss//bot:s3cr3t@bot.example.com", "wss@bot.example.com"),
            ("wss:\\\\bot:s3cr3t@bot.example.com\\stream?a", "wss://bot.example.com/stream"),
            ("wss:bot:s3cr3t@bot.example.com", "wss:bot.example.com"),
            ("//bot:s3cr3t@bot.example.com/a?b", "//bot.example.com/a"),
            ("bot.example.com/stream?token=s3cr3t", "bot.example.com/stream"),
            ("bot:s3cr3t@bot.example.com/stream", "bot@bot.example.com"),
            ("wss://[2001:db8::1]:8443/stream?s3cr3t", "wss://[2001:db8::1]:8443/stream"),
            ("https://a:s3cr3t@b/c and http://d:s3cr3t@e/f?g", "https://b/c and http://e/f"),
            ("could not reach wss://bot:s3cr3t@b/c?d=s3cr3t", "could not reach wss://b/c"),
            ("wss://b/eyJhbGciOiJIUzI1NiJ9.e30.s3cr3t", "wss://b/[redacted]"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn a_sip_address_is_shown_with_whom_it_calls() {
        for (text, expected) in [
            ("sip:+447700900001@example.com;transport=tls", "sip:+447700900001@example.com;transport=tls"),
            ("sip:agent7:s3cr3t@sip.example.com", "sip:agent7@sip.example.com"),
            ("SIPS:agent7:s3@cr3t@sip.example.com:5061", "SIPS:agent7@sip.example.com:5061"),
            ("sip:agent7@sip.example.com;token=s3cr3t;user=phone", "sip:agent7@sip.example.com;user=phone"),
            ("sip:agent7@sip.example.com?X-Token=s3cr3t&Replaces=a@b", "sip:agent7@sip.example.com"),
            ("sip:agent7;pw=s3cr3t@sip.example.com", "sip:agent7@sip.example.com"),
            ("sip:agent7:s3cr3t", "sip:agent7"),
            ("\"Bob\" <sip:bob:s3cr3t@b.example>;tag=s3cr3t", "\"Bob\" <sip:bob@b.example"),
            ("tel:+44-7700-900001;ext=5;x=s3cr3t", "tel:+44-7700-900001;ext=5"),
            ("447700900001@example.com", "447700900001@example.com"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn other_texts_are_shown_as_they_are_but_for_named_secrets() {
        for text in [
            "447700900001",
            "+44 (7700) 900/001",
            "Unknown",
            "vapi-user-f59c1ff26c0543fdb6c02fd30617a1c0",
            "cannot_route",
            "Connection closed.",
            "Really?",
            "100 % sure: yes",
            "Müller & Söhne; Bonn",
            "486 Busy Here",
            "CON-4f1e2d3c-5a6b-4c7d-8e9f-0a1b2c3d4e5f",
        ] {
            assert_eq!(shown(text), text);
        }
        for (text, expected) in [
            ("Authorization: Bearer s3cr3t", "Authorization: Bearer [redacted]"),
            ("refused token=s3cr3t&a=b", "refused token=[redacted]&a=b"),
            ("api_key: s3cr3t given", "api_key: [redacted] given"),
            ("eyJhbGciOiJIUzI1NiJ9.e30.s3cr3t", "[redacted]"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn a_text_is_bounded() {
        assert_eq!(shown(&"ü".repeat(5000)).len(), MAX_BYTES);
        let sentence = shown(&"it rang. ".repeat(40_000)).into_owned();
        assert!(sentence.starts_with("it rang. it rang.") && sentence.len() == MAX_BYTES, "{sentence}");
    }

    #[test]
    fn what_is_too_long_to_be_read_whole_shows_no_secret_that_its_end_would_mark() {
        let secret = "s3cr3t".repeat(MAX_READ_BYTES);
        for text in [
            format!("wss://{secret}@bot.example.com"),
            format!("wss://bot.example.com/{secret}@bot.example.com"),
            format!("sip:agent7{secret}@sip.example.com"),
            format!("eyJ{secret}.e30.s3cr3t"),
            format!("agent7:{secret}@sip.example.com"),
            format!("wss%3A%2F%2F{secret}%40bot.example.com"),
            secret.clone(),
        ] {
            assert_eq!(shown(&text), REDACTED);
            assert_eq!(shown(&format!("could not reach {text}")), format!("could not reach {REDACTED}"));
        }
        let read = format!("wss://bot.example.com/stream?token={}", &secret[..MAX_READ_BYTES / 2]);
        assert_eq!(shown(&read), "wss://bot.example.com/stream");
    }

    #[test]
    fn a_text_full_of_addresses_shows_the_first_and_no_secret() {
        for (one, shown_so) in [
            ("ws:a/", "ws:a/"),
            ("ws:", "ws:"),
            ("x://", "x://"),
            ("//a", "//a"),
            ("ws:a:b/", "ws:a/"),
            ("sip:a/", "sip:a"),
        ] {
            let (few, many) = (one.repeat(2000), one.repeat(200_000));
            let clean = shown(&few).into_owned();
            assert!(clean.starts_with(shown_so), "{one}: {clean}");
            assert!(shown(&many).len() <= MAX_BYTES, "{one}");
            let hidden = shown(&format!("{}s3cr3t@host", one.repeat(20))).into_owned();
            assert!(!hidden.contains("s3cr3t"), "{one}: {hidden}");
        }
    }

    proptest! {
        #[test]
        fn no_secret_part_of_an_address_is_shown(
            scheme in "(wss?|WSS|https?|sips?|[a-z]{2,6})",
            user in "[a-z]{1,5}",
            host in "[a-z]{1,8}\\.example(:[0-9]{2,4})?",
            path in "(/[a-z0-9._-]{0,6}){0,3}",
            before in "([a-z ,.]{1,9} )?",
        ) {
            for (address, place) in [
                (format!("{scheme}://{user}:s3cr3t@{host}{path}?{user}=s3cr3t#s3cr3t"), &host),
                (format!("{scheme}://{host}{path}?s3cr3t"), &host),
                (format!("{scheme}://{user}:s3cr3t@{host}{path}").replace("://", "%3A%2F%2F"), &host),
            ] {
                let text = format!("{before}{address}");
                let shown = shown(&text);
                prop_assert!(!shown.contains("s3cr3t"), "{text} -> {shown}");
                prop_assert!(shown.contains(place.as_str()), "{text} -> {shown}");
            }
        }

        #[test]
        fn what_is_shown_is_shown_as_it_is(text in "\\PC{0,60}") {
            let once = shown(&text).into_owned();
            prop_assert_eq!(shown(&once), once.as_str());
        }

        #[test]
        fn no_text_makes_it_panic(text in "[a-z:/@?#;=&%2F\\\\<> .\u{200b}ü0-9]{0,60}") {
            let once = shown(&text).into_owned();
            prop_assert!(once.len() <= MAX_BYTES);
        }
    }
}
