//! Files that settings name, read within bounds: what is no regular file may never end, or never begin.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The largest key or secret. Vonage's are some kilobytes.
pub(super) const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// The largest NCCO. Real ones are some kilobytes; what is larger would hold up each call.
pub(super) const MAX_NCCO_BYTES: u64 = 1024 * 1024;

/// The largest configuration. The shipped one is some kilobytes.
pub(super) const MAX_CONFIGURATION_BYTES: u64 = 1024 * 1024;

/// What a file holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    /// Whether every user of the machine can read it.
    pub(super) is_public: bool,
}

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is no regular file, but a directory, pipe or device")]
    NotRegular,
    #[error("it is larger than {0} bytes")]
    TooLarge(u64),
}

/// Reads a regular file of at most `limit_bytes`.
pub(super) fn read(path: &Path, limit_bytes: u64) -> Result<Content, ReadError> {
    // Asked for before it is opened: a pipe is not open until somebody writes to it.
    if !fs::metadata(path)?.is_file() {
        return Err(ReadError::NotRegular);
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(limit_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit_bytes {
        return Err(ReadError::TooLarge(limit_bytes));
    }
    Ok(Content { bytes, is_public: metadata.permissions().mode() & 0o004 != 0 })
}
