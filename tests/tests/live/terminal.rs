//! What is wider than the terminal that it is shown on.

use icmpgate_tests::{
    Site,
    netns::{HOST_IF, PATIENCE, finish_as},
};
use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::{FromRawFd as _, OwnedFd},
    process::{Command, Stdio},
    ptr, thread,
};

/// The two ends of a terminal with lines of this width: whoever looks at it, and the program's.
fn terminal(width: u16) -> (File, OwnedFd) {
    let size = libc::winsize { ws_row: 40, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
    let (mut near, mut far) = (-1, -1);
    // SAFETY: two places for descriptors, and a size that is read; nothing of it is kept.
    let done = unsafe { libc::openpty(&mut near, &mut far, ptr::null_mut(), ptr::null(), &size) };
    assert_eq!(done, 0, "a terminal: {}", io::Error::last_os_error());
    // SAFETY: both were just opened, and belong to nobody else.
    unsafe { (File::from_raw_fd(near), OwnedFd::from_raw_fd(far)) }
}

/// What a command shows on a terminal of this width.
fn shown(mut command: Command, width: u16) -> String {
    let (mut near, far) = terminal(width);
    command.stdout(far).stderr(Stdio::piped());
    let reader = thread::spawn(move || {
        let mut octets = Vec::new();
        // It ends with an error, when nobody has the other end any more.
        let _ = near.read_to_end(&mut octets);
        String::from_utf8(octets).expect("text")
    });
    let output = finish_as(&mut command, PATIENCE);
    assert!(output.status.success(), "{command:?}: {output:?}");
    drop(command);
    reader.join().expect("it is read").replace("\r\n", "\n")
}

/// The words of a text, each whole; what parts cells is none.
fn words(text: &str) -> Vec<&str> {
    let mut words: Vec<&str> = text.split_whitespace().filter(|word| *word != "|").collect();
    words.sort_unstable();
    words
}

#[test]
fn tables_are_folded_between_words_on_a_terminal_and_whole_elsewhere() {
    let site = Site::new();
    site.done(&format!("attach --iface {HOST_IF}"));
    let file = site.file("policy.toml", "profile = \"strict\"\n");
    for (width, command) in [
        (80, "profiles host".to_owned()),
        (220, "profiles host".to_owned()),
        (80, "reasons".to_owned()),
        (80, format!("profiles host --policy {file}")),
        (80, format!("check {file}")),
    ] {
        let whole = site.done(&command);
        let folded = shown(site.command(&command), width);
        let widest = |text: &str| text.lines().map(|l| l.chars().count()).max().unwrap_or(0);
        assert!(widest(&whole) > usize::from(width), "{command} is wider");
        assert!(widest(&folded) <= usize::from(width), "{command}: {folded}");
        assert_eq!(words(&folded), words(&whole), "{command}");
    }
    // Of a pipe, a rule is a line.
    let whole = site.done("profiles host");
    let rules = whole.lines().filter(|line| line.contains("  profile host:")).count();
    let about = whole.lines().find(|line| line.starts_with("profile host, mode ")).expect("a sum");
    assert!(about.contains(&format!(" rules {rules},")), "{about}");

    // What `apply` says that differs from the former one, which is the profile.
    let folded = shown(site.command(&format!("apply {file}")), 80);
    assert!(folded.lines().all(|line| line.chars().count() <= 80), "{folded}");
    let whole = site.done(&format!("profiles host --policy {file}"));
    let [folded, whole] = [&folded, &whole].map(|text| {
        let (_, table) = text.split_once("\n  MESSAGE").expect("a table");
        words(table)
    });
    assert_eq!(folded, whole);
    site.done("detach");
}
