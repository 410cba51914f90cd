//! Rows P2, G3 and G4: what is answered from the hook, with which octets, and what isn't answered.

mod kept;
mod number;
mod oracle;
mod reject;
mod reply;

use icmp_common::{
    abi::local,
    verdict::{Reason, Verdict},
};
use icmpgate::datapath::Endpoint;
use icmpgate_tests::{Gate, Seen, gate::hex, in_vm};
use std::net::IpAddr;

/// This machine's addresses, and its neighbours'.
const HERE: &str = "198.51.100.1";
const HERE6: &str = "2001:db8:2::1";
const PEER: &str = "192.0.2.1";
const PEER6: &str = "2001:db8:1::1";
/// What it answers from where the packet wasn't for it.
const FROM: &str = "198.51.100.254";
const FROM6: &str = "2001:db8:2::fe";
/// Not here.
const BEYOND: &str = "203.0.113.9";
const BEYOND6: &str = "2001:db8:9::1";

/// As many answers as a test wants.
const PLENTY: &str = "limit = { rate = 1000000, burst = 1000000, random = false }";

fn rule(name: &str, lines: &str) -> String {
    format!("[[rule]]\nname = \"{name}\"\n{lines}\n")
}

/// A policy on the profile `host`, but for its limits of what is sent.
fn policy(rules: &[String]) -> String {
    format!("{}{}", limited_policy(rules), rule("sent", "hook = \"egress\"\naction = \"pass\""))
}

/// A policy on the profile `host`.
fn limited_policy(rules: &[String]) -> String {
    format!("profile = \"host\"\n{}", rules.concat())
}

/// Rejects each family, whatever it is.
fn rejecting() -> String {
    policy(&[rule("no", &format!("action = \"reject\"\n{PLENTY}"))])
}

/// Replies to each request that can be replied to.
fn replies() -> [String; 2] {
    let reply = |name, of| rule(name, &format!("{of}\naction = \"reply\"\n{PLENTY}"));
    [
        reply("v4", "family = \"icmpv4\"\ntype = [8, 13, 17]"),
        reply("v6", "family = \"icmpv6\"\ntype = 128"),
    ]
}

/// Likewise, as a policy.
fn replying() -> String {
    policy(&replies())
}

/// The interface of the gate: frames of the tests' builder go to it.
fn endpoint() -> Endpoint {
    let addresses = [&format!("{FROM}/24"), &format!("{FROM6}/64"), "fe80::fe/64", "10.0.0.254/8"];
    Endpoint {
        hardware: Some([2, 0, 0, 0, 0, 2]),
        mtu: 1500,
        addresses: addresses.map(|net| net.parse().expect("a network")).into(),
        ..Endpoint::default()
    }
}

fn gate(text: &str) -> Gate {
    let mut gate = Gate::new(text);
    gate.endpoint(&endpoint());
    gate.local(&[
        (HERE, local::UNICAST),
        (HERE6, local::UNICAST),
        ("fe80::1", local::UNICAST),
        ("198.51.100.255", local::BROADCAST),
        ("192.0.2.255", local::BROADCAST),
    ]);
    gate
}

/// Whether the `n`th of many like cases is run: all of them, but few inside an emulated machine.
fn is_run(n: usize) -> bool {
    !in_vm() || n.is_multiple_of(97) || (8..12).contains(&n)
}

/// The octets of an address.
fn octets(address: &str) -> Vec<u8> {
    match address.parse().expect("an address") {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The length of a frame's link-layer header.
fn link_of(frame: &[u8]) -> usize {
    let mut at = 12;
    while matches!(frame[at..at + 2], [0x81, 0] | [0x88, 0xa8]) {
        at += 4;
    }
    at + 2
}

#[track_caller]
fn assert_seen(seen: &Seen, verdict: Verdict, reason: Reason, frame: &[u8]) {
    assert_eq!((seen.verdict(), seen.reason()), (verdict, reason), "{seen}: {}", hex(frame));
}

/// A frame to another link-layer address, or from one.
fn hardware(frame: impl Into<Vec<u8>>, to: Option<[u8; 6]>, from: Option<[u8; 6]>) -> Vec<u8> {
    let mut frame = frame.into();
    if let Some(to) = to {
        frame[..6].copy_from_slice(&to);
    }
    if let Some(from) = from {
        frame[6..12].copy_from_slice(&from);
    }
    frame
}

const ALL: [u8; 6] = [0xff; 6];
const GROUP: [u8; 6] = [1, 0, 0x5e, 0, 0, 1];
const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 9];
