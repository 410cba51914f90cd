//! Readers that go away, and disks that are full.

use crate::{FAILED, said};
use icmpgate_tests::{
    Site,
    netns::{HOST_IF, PATIENCE, finish_as, wait},
};
use std::{
    fs::File,
    io::{self, Read as _},
    process::{Command, Stdio},
};

/// Each command that writes, on an instance that is attached.
fn writers(site: &Site) -> Vec<Command> {
    let file = site.file("policy.toml", "profile = \"strict\"\n");
    let apply = format!("apply {file}");
    let check = format!("check {file}");
    let check_json = format!("check --json {file}");
    let words = [
        "--help",
        "--version",
        "run --help",
        "reasons",
        "reasons --json",
        "profiles",
        "profiles strict",
        "status",
        "status --json",
        "stats",
        "stats --json",
        "stats --prometheus",
        "explain --hex 020000000002020000000001080045",
        "explain --json --hex 020000000002020000000001080045",
        "completions bash",
        &check,
        &check_json,
        &apply,
    ];
    words.iter().map(|words| site.command(words)).collect()
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let site = Site::new();
    site.done(&format!("attach --iface {HOST_IF}"));
    for mut command in writers(&site) {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let output = finish_as(command.stdout(writer).stderr(Stdio::piped()), PATIENCE);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(0), "{command:?}: {said}");
        assert!(!said.contains("panicked") && !said.contains("pipe"), "{command:?}: {said}");
    }
    site.done("detach");
    site.assert_nothing_left();
}

#[test]
fn a_reader_that_goes_in_the_middle_of_much_output_is_no_failure() {
    let site = Site::new();
    let mut command = site.command("reasons --json");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut some = [0; 16];
    child.stdout.take().expect("a pipe").read_exact(&mut some).expect("some of it");
    let status = wait(&mut child, PATIENCE).expect("it ends");
    let mut said = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
    assert_eq!((status.code(), &said[..]), (Some(0), ""));
}

#[test]
fn a_disk_that_is_full_is_one_line() {
    let site = Site::new();
    site.done(&format!("attach --iface {HOST_IF}"));
    for mut command in writers(&site) {
        let full = File::options().write(true).open("/dev/full").expect("/dev/full");
        let output = finish_as(command.stdout(full).stderr(Stdio::piped()), PATIENCE);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(FAILED), "{command:?}: {said}");
        let line = "icmpgate: writing standard output: No space left on device (os error 28)\n";
        assert_eq!(said, line, "{command:?}");
    }
    site.done("detach");
    site.assert_nothing_left();
}

#[test]
fn a_daemon_whose_terminal_is_gone_goes_on_and_clears_away() {
    let site = Site::new();
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    let mut command = site.command(&format!("run --iface {HOST_IF} --metrics off"));
    command.stdout(writer.try_clone().expect("a second end")).stderr(writer);
    let mut child = command.spawn().expect("starts");
    let attached = icmpgate_tests::netns::eventually(PATIENCE, || {
        assert_eq!(child.try_wait().expect("waited for"), None, "it lives");
        !site.attached().is_empty()
    });
    assert!(attached);
    site.pair.peer.tool("ping -n -c 1 10.77.0.1");
    assert_eq!(site.stats().packets("gate0 icmpv4 8/0 pass"), 1);
    // SAFETY: a system call without pointers, to a child that hasn't been waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGHUP) }, 0);
    let status = wait(&mut child, PATIENCE).expect("it ends");
    assert_eq!(status.code(), Some(0));
    site.assert_nothing_left();
}
