//! The body of a webhook as it was sent, and as it is read: what proxies do to a body on its way is undone, within
//! bounds.

use std::io::Read;

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use serde::de::IgnoredAny;

/// How a body may be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950, or RFC 1951 alone: senders take the name for either.
    Deflate,
}

/// How often a body may be compressed on its way. Each is done by one more proxy.
const MAX_ENCODINGS: usize = 2;

/// What the first bytes of gzip are. No JSON begins so.
const GZIP_BEGINNING: [u8; 3] = [0x1f, 0x8b, 8];

/// The byte order mark in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A body, read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WebhookBody {
    /// What is read and stored: decompressed, without a byte order mark.
    pub(super) content: Vec<u8>,
    /// The other forms that it had on its way, as far as they differ: as sent, and decompressed.
    pub(super) other_forms: Vec<Vec<u8>>,
}

/// Why a body cannot be decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DecodeError {
    /// It is not what its `Content-Encoding` says.
    Broken,
    /// It is larger than the limit when it is decompressed.
    TooLarge,
}

/// What a body is compressed with, the last first. `None` where it is something that is not understood here.
pub(super) fn encodings(headers: &HeaderMap) -> Option<Vec<Encoding>> {
    let values = headers.get_all(CONTENT_ENCODING).iter().map(|value| value.to_str().ok());
    let values = values.collect::<Option<Vec<_>>>()?;
    let names = values.iter().flat_map(|value| value.split(',')).map(str::trim);
    let mut encodings = Vec::new();
    for name in names {
        match name.to_ascii_lowercase().as_str() {
            "" | "identity" => {}
            "gzip" | "x-gzip" => encodings.push(Encoding::Gzip),
            "deflate" => encodings.push(Encoding::Deflate),
            _ => return None,
        }
    }
    encodings.reverse();
    (encodings.len() <= MAX_ENCODINGS).then_some(encodings)
}

impl WebhookBody {
    /// Decompresses a body to at most `limit_bytes`.
    ///
    /// # Errors
    /// When that fails.
    pub(super) fn decode(
        sent: &Bytes,
        encodings: &[Encoding],
        limit_bytes: usize,
    ) -> Result<Self, DecodeError> {
        // Some proxies decompress what they pass on and leave the header, or the other way round.
        let undeclared = [Encoding::Gzip];
        let encodings = match encodings {
            [] if sent.starts_with(&GZIP_BEGINNING) => &undeclared,
            declared => declared,
        };
        let mut forms = vec![sent.to_vec()];
        for encoding in encodings {
            let latest = forms.last().expect("there is the body as sent");
            if is_json(latest) {
                break;
            }
            forms.push(encoding.decode(latest, limit_bytes)?);
        }
        let latest = forms.last().expect("there is the body as sent");
        if latest.starts_with(BYTE_ORDER_MARK) {
            forms.push(without_mark(latest).to_vec());
        }
        let content = forms.pop().expect("there is the body as sent");
        Ok(Self { content, other_forms: forms })
    }
}

impl Encoding {
    fn decode(self, bytes: &[u8], limit_bytes: usize) -> Result<Vec<u8>, DecodeError> {
        match self {
            Self::Gzip => read(MultiGzDecoder::new(bytes), limit_bytes),
            Self::Deflate => read(ZlibDecoder::new(bytes), limit_bytes).or_else(|error| match error {
                DecodeError::Broken => read(DeflateDecoder::new(bytes), limit_bytes),
                DecodeError::TooLarge => Err(error),
            }),
        }
    }
}

/// Reads to the end, or until it is too much: a few bytes may stand for any number.
fn read(decoder: impl Read, limit_bytes: usize) -> Result<Vec<u8>, DecodeError> {
    let mut content = Vec::new();
    let one_too_many = u64::try_from(limit_bytes).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(one_too_many).read_to_end(&mut content).map_err(|_| DecodeError::Broken)?;
    if content.len() > limit_bytes { Err(DecodeError::TooLarge) } else { Ok(content) }
}

fn without_mark(mut bytes: &[u8]) -> &[u8] {
    while let Some(rest) = bytes.strip_prefix(BYTE_ORDER_MARK) {
        bytes = rest;
    }
    bytes
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(without_mark(bytes)).is_ok()
}
