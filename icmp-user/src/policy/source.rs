//! Reading a policy file: the limits on what is taken for one, and what is said of the rest.

use super::error::{FileError, Place};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The largest policy file, in octets: 100,000 prefixes take less than half of it.
pub const MAX_FILE: u64 = 8 << 20;

/// The text of a policy file.
pub(super) fn read(path: &Path) -> Result<String, FileError> {
    let refuse = |message: String, expected: &str| FileError {
        place: None,
        message,
        expected: expected.to_owned(),
    };
    let unreadable = |error: io::Error| {
        let expected = match error.kind() {
            io::ErrorKind::NotFound => "the path of a policy file",
            io::ErrorKind::PermissionDenied => "a file that this user may read",
            _ => "a readable file",
        };
        refuse(format!("the policy file can't be read: {error}"), expected)
    };
    // Opening a named pipe would wait for a writer, so what it is comes first.
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(refuse("this is a directory".into(), "a policy file"));
    }
    if !metadata.is_file() {
        return Err(refuse("this is not a regular file".into(), "a policy file"));
    }
    let mut octets = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    // The file may grow while it is read: what counts is what was read.
    file.take(MAX_FILE + 1).read_to_end(&mut octets).map_err(unreadable)?;
    if octets.len() as u64 > MAX_FILE {
        return Err(refuse(
            format!("the file is larger than {MAX_FILE} octets (8 MiB)"),
            "at most that; 100,000 prefixes take about 3 MiB",
        ));
    }
    String::from_utf8(octets).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let octet = error.as_bytes()[valid];
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]);
        let before = without_bom(&before);
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.rsplit('\n').next().unwrap_or_default().chars().count();
        FileError {
            place: Some(Place { line, column }),
            message: format!("the file is not UTF-8: octet 0x{octet:02x}"),
            expected: "text in UTF-8".into(),
        }
    })
}

/// The text without a byte order mark, which some editors write and TOML doesn't mention.
pub(super) fn without_bom(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}
