//! The bodies under `tests/data`.

use std::fs;
use std::path::{Path, PathBuf};

/// The path of a file under `tests/data`.
pub fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(relative)
}

/// The bytes of a file under `tests/data`.
pub fn bytes(relative: &str) -> Vec<u8> {
    fs::read(path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
}

/// The names of the files in a folder under `tests/data`, in order. There is at least one.
pub fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(path(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("the folder can be read").file_name())
        .map(|name| name.into_string().expect("a name is a text"))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "{folder} is empty");
    names
}
