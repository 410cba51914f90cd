//! Command lines that can't be meant so.

use crate::{FAILED, WRONG, refused, said};
use icmpgate_tests::{Site, netns::HOST_IF};

#[test]
fn commands_of_later_versions_say_so() {
    let site = Site::new();
    for command in ["top", "events"] {
        let line = format!("this version has no `{command}` yet; a later one brings it");
        refused(&site, &mut site.command(command), WRONG, &line);
        refused(&site, &mut site.command(&format!("{command} --json --any 3")), WRONG, &line);
        let help = site.done("--help");
        assert!(!help.contains(&format!("\n  {command} ")), "{help}");
    }
}

#[test]
fn an_interface_named_twice_is_wrong_usage() {
    let site = Site::new();
    for command in ["run", "attach", "detach"] {
        let words = format!("{command} --iface {HOST_IF} --iface {HOST_IF}");
        let line = format!("--iface {HOST_IF} is given twice");
        refused(&site, &mut site.command(&words), WRONG, &line);
    }
}

#[test]
fn what_the_command_line_does_not_take_is_said_with_what_it_does() {
    let site = Site::new();
    for (words, expected) in [
        ("run", "--iface <IF>"),
        ("run --iface gate0 --mode fast", "[possible values: auto, native, generic]"),
        ("run --iface gate0 --metrics 9917", "expected an address and port, as 127.0.0.1:9917"),
        ("apply", "<FILE>"),
        ("explain", "--pcap <FILE>|--hex <HEX>"),
        ("stats --json --prometheus", "cannot be used with"),
        ("stast", "similar subcommands exist: 'status', 'stats'"),
    ] {
        let output = site.icmpgate(words);
        assert_eq!(output.status.code(), Some(WRONG), "{words}");
        assert!(said(&output).contains(expected), "{words}: {}", said(&output));
        assert!(output.stdout.is_empty(), "{words}");
        site.assert_nothing_left();
    }
}

#[test]
fn commands_on_an_instance_that_there_is_not_say_how_to_start_one() {
    let site = Site::new();
    let file = site.file("policy.toml", "profile = \"host\"\n");
    let line = format!(
        "no icmpgate is attached with pin directory {}; attach one with `icmpgate run --iface IF`, or \
         name another with --pin-dir",
        site.pins().display()
    );
    let apply = format!("apply {file}");
    for words in ["status", "status --json", "stats", "stats --json", "detach", &apply] {
        refused(&site, &mut site.command(words), FAILED, &line);
    }
}

#[test]
fn who_detaches_what_is_not_attached_hears_what_is() {
    let site = Site::new();
    site.pair.host.ip("link add gate2 type veth peer name back-gate2");
    for (attach, attached) in [(HOST_IF, "gate0 is"), ("gate2", "gate0, gate2 are")] {
        site.done(&format!("attach --iface {attach}"));
        let output = site.icmpgate("detach --iface gate7");
        let pins = site.pins().display();
        let line = format!("icmpgate: gate7 is not attached in {pins}; {attached}\n");
        assert_eq!((output.status.code(), said(&output)), (Some(FAILED), line));
    }
    site.done("detach");
    site.assert_nothing_left();
}
