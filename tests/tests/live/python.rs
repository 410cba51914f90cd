//! Scripts for scapy, run in a neighbour's namespace.

use icmpgate_tests::{
    Namespace,
    netns::{PATIENCE, finish},
};
use std::time::Duration;

/// The first part of a script that asks another machine: after the imports, `wire` is a socket on the
/// link, `mine` the hardware address there, and `answer(seconds, four, six)` the next frame that arrives
/// with an ICMPv4 or ICMPv6 message of these types, or `None`.
pub const ASKING: &str = r#"
import socket, struct, sys, time
from scapy.layers.l2 import Ether

wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind(("peer0", 0))
mine = wire.getsockname()[4]

def answer(seconds, four, six):
    until = time.monotonic() + seconds
    while True:
        left = until - time.monotonic()
        if left <= 0:
            return None
        wire.settimeout(left)
        try:
            frame, where = wire.recvfrom(65535)
        except socket.timeout:
            return None
        if where[2] == socket.PACKET_OUTGOING:
            continue
        kind = struct.unpack("!H", frame[12:14])[0]
        if kind == 0x800 and frame[23] == 1 and frame[34] in four:
            return frame
        if kind == 0x86dd and frame[20] == 58 and frame[54] in six:
            return frame
"#;

/// Runs a script with these arguments, and returns what it printed.
pub fn python(peer: &Namespace, script: &str, arguments: &[&str]) -> String {
    python_within(PATIENCE, peer, script, arguments)
}

/// The same of a script that may take another time.
pub fn python_within(
    patience: Duration,
    peer: &Namespace,
    script: &str,
    arguments: &[&str],
) -> String {
    let mut command = peer.command("/usr/bin/python3");
    let output = finish(command.args(["-c", script]).args(arguments), patience);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}
