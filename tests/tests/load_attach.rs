//! Attaching, in whichever way this kernel can: by links, or before Linux 6.6 by a filter for what is
//! sent.

use icmpgate_tests::{
    Ipv4,
    daemon::program,
    in_vm,
    message::error_v4,
    netns::{Namespace, PATIENCE, eventually, finish},
    require_root,
};
use serde_json::Value;
use std::{fs, path::PathBuf};

/// A pin directory that is removed.
struct Pins(PathBuf);

impl Pins {
    fn new() -> Self {
        Self(PathBuf::from(format!("/sys/fs/bpf/icmpgate-attach-{}", std::process::id())))
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let folders = fs::read_dir(&self.0).into_iter().flatten().flatten();
        for folder in folders.filter(|f| f.path().is_dir()) {
            fs::read_dir(folder.path())
                .into_iter()
                .flatten()
                .flatten()
                .for_each(|pin| drop(fs::remove_file(pin.path())));
            drop(fs::remove_dir(folder.path()));
        }
        let pins = fs::read_dir(&self.0).into_iter().flatten().flatten();
        pins.for_each(|pin| drop(fs::remove_file(pin.path())));
        drop(fs::remove_dir(&self.0));
    }
}

/// Whether this kernel has links for what is sent.
fn has_tcx() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("readable");
    let mut numbers = release.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(6))
}

#[test]
fn what_is_sent_is_filtered_in_the_way_that_this_kernel_can_and_nothing_is_left() {
    require_root();
    let namespace = Namespace::new();
    namespace.ip("link add gate0 type veth");
    namespace.ip("link set gate0 up");
    let pins = Pins::new();
    // An emulated processor verifies for a minute.
    let patience = if in_vm() { 10 * PATIENCE } else { PATIENCE };
    let run = |words: &str| {
        let words = format!("{} {words} --pin-dir {}", program().display(), pins.0.display());
        let output = finish(&mut namespace.words(&words), patience);
        let text =
            String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{words}: {text}");
        (text, output.stdout)
    };
    let json = |words: &str| -> Value {
        serde_json::from_slice(&run(&format!("{words} --json")).1).expect("JSON")
    };
    let dropped = || {
        let stats = json("stats");
        let lines = stats["counters"].as_array().expect("a list");
        let is = |line: &&Value| {
            line["hook"] == "egress" && line["type"] == "4" && line["verdict"] == "drop"
        };
        lines.iter().find(is).map_or(0, |line| line["packets"].as_u64().expect("a number"))
    };
    let (mode, qdisc) = if has_tcx() { ("tcx", false) } else { ("clsact", true) };
    // A source quench, which no policy lets leave.
    let frame = Vec::from(Ipv4::between("192.0.2.1", "192.0.2.2").icmp(error_v4(4, 0, 0)));
    let wire = namespace.wire("gate0");
    let qdiscs = || namespace.tool("tc qdisc show dev gate0");
    assert!(!qdiscs().contains("clsact"));
    let mut sent = 0;
    // The second time takes up what the first left, the third begins anew.
    for round in ["attach", "attach", "detach", "attach"] {
        run(&format!("{round} --iface gate0"));
        if round == "detach" {
            assert!(!qdiscs().contains("clsact"), "{}", qdiscs());
            assert!(!pins.0.exists());
            sent = 0;
            continue;
        }
        assert_eq!(json("status")["interfaces"][0]["egress"], mode);
        assert_eq!(qdiscs().contains("clsact"), qdisc, "{}", qdiscs());
        // The sender is told.
        let refused = wire.try_send(&frame).expect_err("it is dropped").raw_os_error();
        assert_eq!(refused, Some(libc::ENOBUFS));
        sent += 1;
        assert!(eventually(PATIENCE, || dropped() == sent), "{} of {sent}", dropped());
    }
    run("detach --iface gate0");
    assert!(!qdiscs().contains("clsact"), "{}", qdiscs());
    assert!(!pins.0.exists());
    println!("{mode}{}", if in_vm() { ", in an emulated machine" } else { "" });
}
