//! Each frame that the program sends is looked at twice: here, octet by octet against the RFCs, and by
//! scapy, which knows nothing of this program: it parses the frame, sums it anew and compares.

use crate::{link_of, octets};
use icmpgate_tests::{frame::internet_checksum, gate::hex, in_vm, netns::finish_as};
use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

/// What scapy is asked about: each answer beside its request.
#[derive(Default)]
pub struct Oracle {
    lines: String,
    /// How many.
    pub count: usize,
}

impl Oracle {
    pub fn ask(&mut self, request: &[u8], answer: &[u8]) {
        self.lines.push_str(&format!("{} {}\n", whole_hex(request), whole_hex(answer)));
        self.count += 1;
    }

    /// Panics with what scapy finds wrong, and where it didn't look at all of them.
    pub fn verify(&self) {
        // The machines of `cargo xtask vm` have no python; the frames are those of outside.
        if in_vm() {
            return;
        }
        let mut input = tempfile::tempfile().expect("a file");
        input.write_all(self.lines.as_bytes()).expect("it can be written");
        std::io::Seek::rewind(&mut input).expect("it can be read");
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-c", ORACLE]).stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = finish_as(&mut command, Duration::from_secs(300));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}{error}");
        assert_eq!(said, format!("{} agree\n", self.count));
    }
}

fn whole_hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// scapy takes the answer apart, drops its lengths and checksums, and builds it again: it must come
/// to the same octets. What an error quotes must be the request's, and whom it goes to its source.
const ORACLE: &str = r#"
import sys
from scapy.layers.l2 import Ether, Dot1Q
from scapy.layers.inet import IP, ICMP
from scapy.layers.inet6 import IPv6, ICMPv6EchoReply, _ICMPv6Error
from scapy.packet import Raw

def message(packet):
    return packet[ICMP] if ICMP in packet else packet[IPv6].payload

n = 0
for line in sys.stdin:
    request, answer = (bytes.fromhex(word) for word in line.split())
    asked, sent = Ether(request), Ether(answer)
    v6 = IPv6 in sent
    layer = IPv6 if v6 else IP
    assert (sent.src, sent.dst) == (asked.dst, asked.src), line
    # The tags of the request, in their order.
    a, s = asked, sent
    while Dot1Q in a:
        a, s = a[Dot1Q], s[Dot1Q]
        assert (a.vlan, a.prio, a.id) == (s.vlan, s.prio, s.id), line
        a, s = a.payload, s.payload
    assert Dot1Q not in s or not s.haslayer(Dot1Q), line
    assert sent[layer].dst == asked[layer].src, line
    assert (sent[layer].hlim if v6 else sent[layer].ttl) == 64, line
    body = bytes(sent[layer])[:sent[layer].plen + 40 if v6 else sent[layer].len]
    fresh = layer(body)
    head, inner = fresh, fresh.payload
    is_error = (isinstance(inner, _ICMPv6Error) if v6 else inner.type in (3, 11, 12))
    if is_error:
        assert not sent[layer].haslayer("Padding") and len(body) <= (1280 if v6 else 576), line
        quote = body[48:] if v6 else body[28:]
        whole = bytes(asked[layer].original)
        length = asked[layer].plen + 40 if v6 else asked[layer].len
        room = 1232 if v6 else 548
        assert quote == whole[:min(length, room)], line
        rest = bytes(inner)[:8]
    # Sum it anew, over what was sent.
    import struct
    raw = bytearray(body)
    if v6:
        raw[42:44] = b"\0\0"
        again = IPv6(src=fresh.src, dst=fresh.dst, tc=fresh.tc, fl=fresh.fl, hlim=64, nh=58)
        from scapy.layers.inet6 import in6_chksum
        check = in6_chksum(58, again, bytes(raw[40:]))
        assert struct.pack("!H", check) == body[42:44], (line, hex(check))
    else:
        from scapy.utils import checksum
        raw[22:24] = b"\0\0"
        check = checksum(bytes(raw[20:]))
        assert struct.pack("!H", check) == body[22:24], (line, hex(check))
        del fresh.chksum
        del fresh.len
        assert bytes(fresh)[:20] == body[:20], line
    n += 1
print(n, "agree")
"#;

/// What an answer's link-layer header is, given the request's.
pub fn link_header(request: &[u8]) -> Vec<u8> {
    let link = link_of(request);
    [&request[6..12], &request[..6], &request[12..link]].concat()
}

/// Asserts that a frame is the ICMPv4 error that answers another: from an address, of a type and code,
/// with a word behind the checksum.
#[track_caller]
pub fn assert_error_v4(request: &[u8], answer: &[u8], from: &str, (ty, code, word): (u8, u8, u32)) {
    let link = link_of(request);
    let (packet, sent) = (&request[link..], &answer[link..]);
    let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    let quote = &packet[..total.min(548)];
    let what = || format!("{} answered by {}", hex(request), hex(answer));
    assert_eq!(answer[..link], link_header(request), "{}", what());
    // Version and length, service, total length; flags and offset, TTL, protocol.
    let service = packet[1] & 0x1e | 0xc0;
    let length = (28 + quote.len() as u16).to_be_bytes();
    assert_eq!(sent[..4], [0x45, service, length[0], length[1]], "{}", what());
    assert_eq!(sent[6..10], [0, 0, 64, 1], "{}", what());
    assert_eq!(sent[12..16], octets(from), "{}", what());
    assert_eq!(sent[16..20], packet[12..16], "{}", what());
    assert_eq!(sent[20..22], [ty, code], "{}", what());
    assert_eq!(sent[24..28], word.to_be_bytes(), "{}", what());
    assert_eq!(&sent[28..], quote, "{}", what());
    assert_eq!(
        (internet_checksum(&sent[..20]), internet_checksum(&sent[20..])),
        (0, 0),
        "{}",
        what()
    );
}

/// Asserts the same of an ICMPv6 error.
#[track_caller]
pub fn assert_error_v6(request: &[u8], answer: &[u8], from: &str, (ty, code, word): (u8, u8, u32)) {
    let link = link_of(request);
    let (packet, sent) = (&request[link..], &answer[link..]);
    let total = 40 + usize::from(u16::from_be_bytes([packet[4], packet[5]]));
    let quote = &packet[..total.min(1232)];
    let what = || format!("{} answered by {}", hex(request), hex(answer));
    assert_eq!(answer[..link], link_header(request), "{}", what());
    let length = (8 + quote.len() as u16).to_be_bytes();
    assert_eq!(sent[..8], [0x60, 0, 0, 0, length[0], length[1], 58, 64], "{}", what());
    assert_eq!(sent[8..24], octets(from), "{}", what());
    assert_eq!(sent[24..40], packet[8..24], "{}", what());
    assert_eq!(sent[40..42], [ty, code], "{}", what());
    assert_eq!(sent[44..48], word.to_be_bytes(), "{}", what());
    assert_eq!(&sent[48..], quote, "{}", what());
    assert_eq!(sum_v6(sent), 0, "{}", what());
}

/// The checksum over an ICMPv6 message and its pseudo-header: 0 where it is right.
pub fn sum_v6(packet: &[u8]) -> u16 {
    let length = u32::from(u16::from_be_bytes([packet[4], packet[5]]));
    let message = &packet[40..40 + length as usize];
    let mut pseudo = packet[8..40].to_vec();
    pseudo.extend(length.to_be_bytes());
    pseudo.extend([0, 0, 0, 58]);
    internet_checksum(&[&pseudo, message].concat())
}

/// Asserts that a frame is the echo reply to another.
#[track_caller]
pub fn assert_echo_reply(request: &[u8], answer: &[u8]) {
    let link = link_of(request);
    let (packet, sent) = (&request[link..], &answer[link..]);
    let what = || format!("{} answered by {}", hex(request), hex(answer));
    assert_eq!(answer[..link], link_header(request), "{}", what());
    assert_eq!(answer.len(), request.len(), "{}", what());
    if packet[0] >> 4 == 6 {
        assert_eq!(sent[..4], [0x60 | packet[0] & 0xf, packet[1] & 0xf0, 0, 0], "{}", what());
        assert_eq!(sent[4..7], packet[4..7], "{}", what());
        assert_eq!(sent[7], 64, "{}", what());
        assert_eq!((&sent[8..24], &sent[24..40]), (&packet[24..40], &packet[8..24]), "{}", what());
        assert_eq!((sent[40], sent[41]), (129, packet[41]), "{}", what());
        assert_eq!(sent[44..], packet[44..], "{}", what());
        assert_eq!(sum_v6(sent), 0, "{}", what());
        return;
    }
    let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    assert_eq!(sent[..4], packet[..4], "{}", what());
    assert_eq!(sent[6..10], [0, 0, 64, 1], "{}", what());
    assert_eq!((&sent[12..16], &sent[16..20]), (&packet[16..20], &packet[12..16]), "{}", what());
    assert_eq!((sent[20], sent[21]), (0, packet[21]), "{}", what());
    assert_eq!(sent[24..], packet[24..], "{}", what());
    assert_eq!(internet_checksum(&sent[..20]), 0, "{}", what());
    // The very checksum, not one that verifies besides: 0 and 0xffff aren't the same.
    let mut message = sent[20..total].to_vec();
    message[2..4].fill(0);
    assert_eq!(sent[22..24], internet_checksum(&message).to_be_bytes(), "{}", what());
}
