//! Files that can't be read, and how a message looks.

use super::*;
use std::path::Path;

#[test]
fn a_message_shows_the_line_and_marks_the_mistake() {
    let errors = from_str("etc/p.toml", "profile = \"host\"\n\n[zones]\n\ta = [1]\n").unwrap_err();
    let text = errors.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("etc/p.toml:4:7: a whole number does not belong here; expected "));
    assert_eq!(lines[1..], [" 4 |  a = [1]", "   |       ^"]);
}

/// What is said of a file that can't be read.
fn file_mistake(path: &Path) -> String {
    let errors = load(path).unwrap_err();
    assert_eq!(errors.len(), 1);
    let text = errors.to_string();
    let prefix = format!("{}:", path.display());
    text.strip_prefix(&prefix).unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn a_file_is_read_and_its_path_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.toml");
    std::fs::write(&path, "\u{feff}profile = \"host\"\n").unwrap();
    let policy = load(&path).unwrap();
    assert_eq!((policy.path.as_deref(), policy.profile), (Some(path.as_path()), Profile::Host));
    std::fs::write(&path, "profile = \"hots\"\n").unwrap();
    assert!(file_mistake(&path).starts_with("1:11: unknown profile `hots`; "));
}

#[test]
fn a_file_that_is_none_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(
        file_mistake(&dir.path().join("missing.toml")),
        " the policy file can't be read: No such file or directory (os error 2); expected the path \
         of a policy file"
    );
    assert_eq!(file_mistake(dir.path()), " this is a directory; expected a policy file");
    assert_eq!(
        file_mistake(Path::new("/dev/null")),
        " this is not a regular file; expected a policy file"
    );
}

#[test]
fn a_file_too_large_is_refused_and_the_limit_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.toml");
    let mut text = "profile = \"host\"\n#".to_owned().into_bytes();
    text.resize(MAX_FILE as usize, b'x');
    std::fs::write(&path, &text).unwrap();
    assert!(load(&path).is_ok());
    text.push(b'x');
    std::fs::write(&path, &text).unwrap();
    assert_eq!(
        file_mistake(&path),
        " the file is larger than 8388608 octets (8 MiB); expected at most that; 100,000 prefixes \
         take about 3 MiB"
    );
}

#[test]
fn a_file_that_is_not_utf8_is_told_where() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.toml");
    for (octets, place) in [
        (&b"profile = \"h\xf6st\"\n"[..], "1:13"),
        (b"# \xc3\xa4\n# \xc3\xa4 \xe4\n", "2:5"),
        (b"\xef\xbb\xbf\xff", "1:1"),
        (b"p\x00\xff", "1:3"),
    ] {
        std::fs::write(&path, octets).unwrap();
        let octet = octets.iter().rev().find(|o| **o >= 0xe0).unwrap();
        assert_eq!(
            file_mistake(&path),
            format!("{place}: the file is not UTF-8: octet 0x{octet:02x}; expected text in UTF-8")
        );
    }
}
