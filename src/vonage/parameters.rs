//! The parameters of a webhook's URL, decoded once for all who ask: who checks a signature must read the same as who
//! reads the webhook.

use std::borrow::Cow;

/// The byte order mark as text. Some senders put one before what they send; it belongs to no name and no value.
pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

/// One parameter, without its percent signs and plusses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameter<'a> {
    /// As it stands in the URL: `name=value`, still encoded.
    pub(super) encoded: &'a str,
    /// The name, with a byte order mark where one was sent.
    pub(super) name_as_sent: String,
    /// The value, with a byte order mark where one was sent.
    pub(super) value_as_sent: String,
}

/// A name or a value is not UTF-8 after percent-decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Undecodable;

impl<'a> Parameter<'a> {
    /// Every parameter of a query, in the order of the URL, with those that are repeated.
    ///
    /// # Errors
    /// When one of them is no text.
    pub(super) fn all(query: &'a str) -> Result<Vec<Self>, Undecodable> {
        query.split('&').filter(|encoded| !encoded.is_empty()).map(Self::read).collect()
    }

    fn read(encoded: &'a str) -> Result<Self, Undecodable> {
        let (name, value) = encoded.split_once('=').unwrap_or((encoded, ""));
        Ok(Self { encoded, name_as_sent: decoded(name)?, value_as_sent: decoded(value)? })
    }

    /// Whether byte order marks were sent in it.
    pub(super) fn has_marks(&self) -> bool {
        [&self.name_as_sent, &self.value_as_sent].iter().any(|text| text.starts_with(BYTE_ORDER_MARK))
    }

    pub(super) fn name(&self) -> &str {
        self.name_as_sent.trim_start_matches(BYTE_ORDER_MARK)
    }

    pub(super) fn value(&self) -> &str {
        self.value_as_sent.trim_start_matches(BYTE_ORDER_MARK)
    }
}

/// Unlike the usual form decoders it does not put replacement characters where the bytes are no text: what cannot be
/// read is refused.
fn decoded(text: &str) -> Result<String, Undecodable> {
    let spaced = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8();
    decoded.map(Cow::into_owned).map_err(|_| Undecodable)
}
