//! `icmpgate explain` against tools that nobody here wrote: what it reads of a capture, tshark and
//! scapy read too, packet by packet.
//!
//! Two captures: frames of this crate's builder, and packets that scapy built by itself. tshark
//! tells type, code and checksum; it doesn't sum some types of IGMP, so IGMP's checksums are
//! scapy's.

use icmpgate_tests::{Extension, Ipv4, Ipv6, Message, message, random, require_root};
use serde_json::Value;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

/// Debian's, which has scapy; another before it in `PATH` may not.
const PYTHON: &str = "/usr/bin/python3";

/// What one of the tools says of a packet: family, type, code, and whether its checksum is good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Read {
    family: &'static str,
    ty: Option<u8>,
    code: Option<u8>,
    good: Option<bool>,
}

fn program() -> PathBuf {
    let path = env::var_os("ICMPGATE_BIN").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/icmpgate"),
        PathBuf::from,
    );
    assert!(path.is_file(), "no {}: run `cargo xtask build`, or set ICMPGATE_BIN", path.display());
    path
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {errors}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

/// A line of JSON a packet.
fn explain(pcap: &Path) -> Vec<Value> {
    let mut command = Command::new(program());
    let lines = output(command.args(["explain", "--json", "--pcap"]).arg(pcap));
    lines.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn explained(line: &Value) -> Read {
    let octet = |key: &str| line[key].as_u64().map(|n| u8::try_from(n).expect("an octet"));
    Read {
        family: match line["family"].as_str() {
            Some("icmpv4") => "icmpv4",
            Some("icmpv6") => "icmpv6",
            Some("igmp") => "igmp",
            _ => "none",
        },
        ty: octet("type"),
        code: octet("code"),
        good: match line["checksum"].as_str() {
            Some("good") => Some(true),
            Some("bad") => Some(false),
            _ => None,
        },
    }
}

const FIELDS: [&str; 13] = [
    "icmp.type",
    "icmp.code",
    "icmp.checksum.status",
    "icmpv6.type",
    "icmpv6.code",
    "icmpv6.checksum.status",
    "igmp.type",
    "igmp.checksum.status",
    "frame.protocols",
    "ip.proto",
    "ip.frag_offset",
    "ipv6.fraghdr.nxt",
    "ipv6.fraghdr.offset",
];

/// tshark's own reading, of the outermost message: what an error quotes comes behind it.
fn tshark(pcap: &Path) -> Vec<Read> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-r"]).arg(pcap);
    command.args(["-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"]);
    command.args(["-T", "fields", "-E", "separator=/t", "-E", "occurrence=a"]);
    command.args(FIELDS.iter().flat_map(|field| ["-e", field]));
    // As root it says that this is dangerous; what it reads are frames of our own.
    output(&mut command).lines().map(of_fields).collect()
}

fn of_fields(line: &str) -> Read {
    let fields: Vec<&str> = line.split('\t').collect();
    let [ty4, code4, sum4, ty6, code6, sum6, igmp, igmp_sum, protocols, rest @ ..] = &fields[..]
    else {
        panic!("{line}");
    };
    // The outermost has its field first, and what is quoted behind it.
    let first = |text: &str| text.split(',').next().unwrap_or_default().to_owned();
    let octet = |text: &str| match first(text).strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16).ok(),
        None => first(text).parse().ok(),
    };
    let status = |text: &str| match first(text).as_str() {
        "1" | "Good" => Some(true),
        "0" | "Bad" => Some(false),
        _ => None,
    };
    let outer = protocols.split(':').find(|p| OURS.contains(p));
    let (family, ty, code, good) = match outer {
        Some("icmp") => ("icmpv4", octet(ty4), octet(code4), status(sum4)),
        Some("icmpv6") => ("icmpv6", octet(ty6), octet(code6), status(sum6)),
        Some(_) => ("igmp", octet(igmp), None, status(igmp_sum)),
        None => (of_later_fragment(rest), None, None, None),
    };
    Read { family, ty, code, good }
}

/// What tshark calls our messages in `frame.protocols`.
const OURS: [&str; 6] = ["icmp", "icmpv6", "igmp", "dvmrp", "pim", "rgmp"];

/// Whose later fragment it is, which tshark shows by the IP headers alone.
fn of_later_fragment(fields: &[&str]) -> &'static str {
    let [protocol, offset, next_header, offset6] = fields else { panic!("{fields:?}") };
    let later = |offset: &str| offset.split(',').any(|n| !matches!(n, "" | "0"));
    match (later(offset), *protocol, later(offset6), *next_header) {
        (true, "1", ..) => "icmpv4",
        (true, "2", ..) => "igmp",
        // The header behind the last fragment header, since the later one ends the chain.
        (_, _, true, next) if next.ends_with("58") => "icmpv6",
        _ => "none",
    }
}

/// Whether the whole IGMP message of each packet sums to nothing, by scapy's function; empty for
/// other packets, and for those whose lengths disagree.
const SCAPY_SUMS: &str = r#"
import sys
from scapy.all import rdpcap, Ether, IP
from scapy.utils import checksum
for packet in rdpcap(sys.argv[1]):
    ip = packet.getlayer(IP)
    if ip is None or ip.proto != 2 or ip.frag or ip.flags.MF or ip.ihl is None:
        print("")
        continue
    octets = bytes(ip.original if ip.original else raw(ip))
    message = octets[ip.ihl * 4:ip.len]
    if ip.version != 4 or ip.ihl < 5 or len(octets) < ip.len or len(message) < 4:
        print("")
    else:
        print("good" if checksum(message) == 0 else "bad", message[0])
"#;

fn scapy_sums(pcap: &Path) -> Vec<Option<(bool, u8)>> {
    let lines = output(Command::new(PYTHON).args(["-c", SCAPY_SUMS]).arg(pcap));
    let of = |line: &str| {
        let (word, ty) = line.split_once(' ')?;
        Some((word == "good", ty.parse().expect("an octet")))
    };
    lines.lines().map(of).collect()
}

/// Packets that scapy builds, of every kind that it knows of ours.
const SCAPY_PACKETS: &str = r#"
import random, sys
from scapy.all import *
from scapy.contrib.igmp import IGMP
from scapy.contrib.igmpv3 import IGMPv3, IGMPv3gr, IGMPv3mq, IGMPv3mr
random.seed(5)
E = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
I = IP(src="192.0.2.1", dst="198.51.100.1")
S = IPv6(src="fe80::1", dst="2001:db8::1")
M = IPv6(src="fe80::1", dst="ff02::16", hlim=1) / IPv6ExtHdrHopByHop(options=[RouterAlert()])
quoted = IP(src="198.51.100.1", dst="192.0.2.9") / UDP(sport=4000, dport=53) / b"question"
quoted6 = IPv6(src="2001:db8::1", dst="2001:db8::9") / UDP(sport=4000, dport=53) / b"question"
packets = []
for n in list(range(0, 60)) + [472, 473, 1400, 1472]:
    data = bytes(random.randrange(256) for _ in range(n))
    packets += [I / ICMP(id=n, seq=1) / data, I / ICMP(type=0, id=n) / data]
    packets += [S / ICMPv6EchoRequest(id=n, data=data), S / ICMPv6EchoReply(id=n, data=data)]
    packets += [I / ICMP(id=n, chksum=0x1234) / data, S / ICMPv6EchoRequest(cksum=0x1234, data=data)]
    packets += [Dot1Q(vlan=7) / I / ICMP(id=n) / data, Dot1AD(vlan=9) / Dot1Q(vlan=7) / S / ICMPv6EchoRequest(data=data)]
for ty in (3, 4, 5, 11, 12):
    for code in range(0, 17):
        packets.append(I / ICMP(type=ty, code=code, unused=0) / quoted)
for ty in (13, 14, 15, 16, 17, 18):
    packets.append(I / ICMP(type=ty, id=1, seq=2))
for ty in (9, 10):
    packets.append(I / ICMP(type=ty))
for cls in (ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6TimeExceeded, ICMPv6ParamProblem):
    for code in range(0, 11):
        packets.append(S / cls(code=code) / quoted6)
packets += [S / ICMPv6ND_RS(), S / ICMPv6ND_RA() / ICMPv6NDOptPrefixInfo(prefix="2001:db8::"),
    S / ICMPv6ND_NS(tgt="fe80::2") / ICMPv6NDOptSrcLLAddr(), S / ICMPv6ND_NA(tgt="fe80::2"),
    S / ICMPv6ND_Redirect(tgt="fe80::3", dst="2001:db8::7"),
    S / ICMPv6NIQueryIPv6(), S / ICMPv6NIReplyName(), S / ICMPv6HAADRequest(), S / ICMPv6MPSol(),
    S / ICMPv6MPAdv(), S / ICMPv6MRD_Advertisement(), S / ICMPv6MRD_Solicitation(), S / ICMPv6MRD_Termination(),
    S / ICMPv6Unknown(type=200, code=3, msgbody=b"x"), S / ICMPv6Unknown(type=99, msgbody=b"abcdef")]
packets += [M / ICMPv6MLQuery(), M / ICMPv6MLReport(mladdr="ff0e::1"), M / ICMPv6MLDone(mladdr="ff0e::1"),
    M / ICMPv6MLQuery2(mladdr="ff0e::1", sources=["2001:db8::5", "2001:db8::6"])]
for n in range(1, 12):
    records = [ICMPv6MLDMultAddrRec(rtype=1 + n % 6, dst="ff0e::%x" % i, sources=["2001:db8::%x" % i] * (i % 3)) for i in range(n)]
    packets.append(M / ICMPv6MLReport2(records=records))
for ty, group in ((0x11, "0.0.0.0"), (0x12, "239.1.2.3"), (0x16, "239.1.2.3"), (0x17, "239.1.2.3")):
    packets.append(IP(src="192.0.2.1", dst="224.0.0.1", ttl=1, options=[IPOption_Router_Alert()]) / IGMP(type=ty, gaddr=group))
packets.append(IP(dst="224.0.0.1", ttl=1) / IGMPv3(type=0x11) / IGMPv3mq(gaddr="239.1.2.3", srcaddrs=["192.0.2.5", "192.0.2.6"]))
for n in range(1, 12):
    records = [IGMPv3gr(rtype=1 + n % 6, maddr="239.1.2.%d" % i, srcaddrs=["192.0.2.%d" % i] * (i % 3)) for i in range(n)]
    packets.append(IP(dst="224.0.0.22", ttl=1, options=[IPOption_Router_Alert()]) / IGMPv3(type=0x22) / IGMPv3mr(records=records))
for ty in (0x13, 0x14, 0x15, 0x1e, 0x1f, 0x30, 0x31, 0x32):
    for bad in (0, 1):
        body = bytes([ty, 0, 0, 0]) + bytes(random.randrange(256) for _ in range(20))
        sum = checksum(body) ^ bad
        packets.append(IP(dst="224.0.0.2", ttl=1, proto=2) / Raw(body[:2] + bytes([sum >> 8, sum & 255]) + body[4:]))
big = bytes(random.randrange(256) for _ in range(3000))
packets += fragment(I / ICMP(id=9) / big, 1000)
packets += fragment6(S / IPv6ExtHdrFragment(id=3) / ICMPv6EchoRequest(data=big), 1280)
for headers in ([IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)])], [IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 12)])] * 3,
        [IPv6ExtHdrRouting(addresses=["2001:db8::7", "2001:db8::8"], segleft=2)], [IPv6ExtHdrRouting(addresses=["2001:db8::7"], segleft=0)],
        [IPv6ExtHdrSegmentRouting(addresses=["2001:db8::7", "2001:db8::8"], segleft=1)],
        [IPv6ExtHdrFragment()], [IPv6ExtHdrDestOpt(), IPv6ExtHdrFragment(id=5), IPv6ExtHdrDestOpt()]):
    packet = S
    for header in headers:
        packet = packet / header
    packets.append(packet / ICMPv6EchoRequest(data=b"behind headers"))
for options in ([IPOption_NOP()] * 4, [IPOption_RR(routers=["192.0.2.%d" % i for i in range(9)])], [IPOption_Router_Alert()]):
    packets.append(IP(src="192.0.2.1", dst="198.51.100.1", options=options) / ICMP() / b"behind options")
packets += [I / TCP(), I / UDP() / b"x", S / TCP(), ARP()]
wrpcap(sys.argv[1], [E / packet for packet in packets])
"#;

/// Frames as a classic pcap (magic, version, zone, accuracy, longest, Ethernet).
fn write_pcap(path: &Path, frames: &[Vec<u8>]) {
    let mut octets = Vec::new();
    for word in [0xa1b2_c3d4_u32, 4 << 16 | 2, 0, 0, 262_144, 1] {
        octets.extend(word.to_le_bytes());
    }
    for (n, frame) in frames.iter().enumerate() {
        let length = frame.len() as u32;
        for word in [1_700_000_000, n as u32, length, length] {
            octets.extend(word.to_le_bytes());
        }
        octets.extend(frame);
    }
    fs::write(path, octets).expect("written");
}

/// Compares packet by packet, and says how many agreed and on how many checksums.
fn compare(pcap: &Path) {
    let start = Instant::now();
    let lines = explain(pcap);
    let took = start.elapsed();
    let (theirs, sums) = (tshark(pcap), scapy_sums(pcap));
    assert_eq!((lines.len(), lines.len()), (theirs.len(), sums.len()), "packets");
    let (mut compared, mut summed, mut wrong) = (0, 0, Vec::new());
    for (line, (theirs, sum)) in lines.iter().zip(theirs.iter().zip(&sums)) {
        let ours = explained(line);
        let reason = line["reason"].as_str().expect("a reason");
        // Where a tool looks behind what we don't, by documented bounds.
        if matches!(
            reason,
            "vlan-tags-beyond-bound" | "priority-tags" | "extension-headers-beyond-bound"
        ) {
            continue;
        }
        let mut theirs = theirs.clone();
        if ours.family == "igmp" {
            // tshark knows codes of IGMP that its registry doesn't; scapy has the sums.
            theirs.code = ours.code;
            if let Some((good, ty)) = sum {
                theirs.good = Some(*good);
                theirs.ty = theirs.ty.or(Some(*ty));
            }
        }
        compared += 1;
        summed += usize::from(ours.good.is_some());
        if ours != theirs {
            wrong.push(format!("{line}\n  explain {ours:?}\n  others  {theirs:?}"));
        }
    }
    println!(
        "{compared} of {} packets and {summed} checksums compared; explain took {took:.1?}",
        lines.len()
    );
    assert!(compared * 10 > lines.len() * 9 && summed * 3 > compared);
    let n = wrong.len();
    wrong.truncate(25);
    assert!(n == 0, "{n} of {compared} differ:\n{}", wrong.join("\n"));
}

#[test]
fn explain_agrees_with_tshark_on_frames_of_our_builder() {
    require_root();
    let mut rng = fastrand::Rng::with_seed(23);
    let mut frames: Vec<Vec<u8>> = Vec::new();
    while frames.len() < 4000 {
        frames.push(random::plain(&mut rng));
    }
    for length in 8..200 {
        for bits in [0, 0x0100] {
            let message = |ty| message::echo(ty).length(length).bad_checksum(bits);
            frames.push(Ipv4::default().options(length % 11 * 4).icmp(message(8)).into());
            frames.push(Ipv6::default().extensions(length % 9).icmp(message(128)).into());
            let atomic = Ipv6::default().extension(Extension::fragment(0, false));
            frames.push(atomic.icmp(message(129)).frame().tags(length % 3).into());
            let report = Message::new(0x16, 0).octets([239, 1, 2, 3]).length(length);
            let packet = Ipv4::between("192.0.2.1", "239.1.2.3").ttl(1).router_alert();
            frames.push(packet.igmp(report.bad_checksum(bits)).into());
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let pcap = folder.path().join("ours.pcap");
    write_pcap(&pcap, &frames);
    compare(&pcap);
}

#[test]
fn explain_agrees_with_tshark_on_packets_that_scapy_built() {
    require_root();
    let folder = tempfile::tempdir().expect("a folder");
    let pcap = folder.path().join("scapy.pcap");
    output(Command::new(PYTHON).args(["-c", SCAPY_PACKETS]).arg(&pcap));
    compare(&pcap);
}

/// 100,000 packets a minute at least.
#[test]
fn explain_is_fast_enough() {
    require_root();
    let folder = tempfile::tempdir().expect("a folder");
    let pcap = folder.path().join("many.pcap");
    let mut rng = fastrand::Rng::with_seed(3);
    let frames: Vec<Vec<u8>> = (0..20_000).map(|_| random::frame(&mut rng)).collect();
    write_pcap(&pcap, &frames);
    let start = Instant::now();
    let lines = explain(&pcap);
    let took = start.elapsed();
    println!("{} packets in {took:.1?}", lines.len());
    assert_eq!(lines.len(), frames.len());
    assert!(took.as_secs_f64() < 12.0, "20,000 packets took {took:?}");
}
