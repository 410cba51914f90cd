//! What is attacked, and how it is seen whether it was harmed. Each function makes of a site one on which something
//! can be attacked.

use super::Harm;
use crate::{
    daemon::Site,
    netns::{HOST_IF, HOST4, HOST6, Namespace, PATIENCE, PEER_IF, PEER4, PEER6, eventually},
    tap::Tap,
    tcp::{connect, connecting, info, send_next},
};
use std::{
    fmt,
    net::{IpAddr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

/// Behind the neighbour, who is a gateway, and there is nobody.
const FAR: &str = "203.0.113.9";
/// A neighbour that the forger sends in the name of, and that the answers go to.
pub const OTHER4: &str = "10.77.0.66";
/// Likewise.
pub const OTHER6: &str = "fd77::66";
/// What is on no network of the link.
pub const ELSEWHERE4: &str = "203.0.113.66";
/// A group that a member has joined.
pub const GROUP4: &str = "239.7.7.7";
/// Likewise.
pub const GROUP6: &str = "ff0e::7:7";

/// The kernel's include/net/tcp_states.h.
const TCP_SYN_SENT: u8 = 2;

/// What a machine is like after an attack.
#[derive(Clone, Debug)]
pub struct State {
    /// How much it was harmed.
    pub harm: Harm,
    /// What was measured.
    text: String,
}

impl State {
    fn new(is_harmed: bool, text: impl Into<String>) -> Self {
        Self { harm: if is_harmed { Harm::Full } else { Harm::None }, text: text.into() }
    }

    /// That so many of these were done for the attacker. A few may be lost on the way, where the machine is busy.
    fn of(done: u64, all: u64, what: &str) -> Self {
        let harm = match done {
            0 => Harm::None,
            _ if done < all - all / 10 => Harm::Limited,
            _ => Harm::Full,
        };
        Self { harm, text: format!("{what} {done} of {all}") }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.harm, self.text)
    }
}

/// What is attacked.
pub struct Victim<'a> {
    /// The function of `frames.py`, and its words, separated by spaces.
    pub frames: String,
    /// The time between two frames.
    pub pace: Duration,
    look: Box<dyn FnMut() -> State + 'a>,
}

impl<'a> Victim<'a> {
    fn new(frames: impl Into<String>, look: impl FnMut() -> State + 'a) -> Self {
        Self { frames: frames.into(), pace: Duration::ZERO, look: Box::new(look) }
    }

    /// How it is after the attack, of which it is expected to be harmed so. What the kernel does with the frames that it
    /// has had may take a moment.
    pub fn look(&mut self, expected: Harm) -> State {
        let mut state = None;
        let _ = eventually(PATIENCE, || state.insert((self.look)()).harm == expected);
        state.expect("it was looked at")
    }
}

/// One of the kernel's counters of a namespace, as `Icmp:OutEchoReps` or `Icmp6OutEchoReplies`.
fn kernel(namespace: &Namespace, name: &str) -> u64 {
    let text = namespace.tool("cat /proc/net/snmp /proc/net/netstat /proc/net/snmp6");
    let Some((group, name)) = name.split_once(':') else {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        return line.expect("a counter");
    };
    let start = format!("{group}: ");
    let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(&start)).collect();
    let [names, values] = lines[..] else { panic!("{group} in {text}") };
    let at = names.split(' ').position(|n| n == name).expect("a counter");
    values.split(' ').nth(at).expect("a value").parse().expect("a number")
}

/// The path MTU to an address, as the kernel takes it to be.
fn path_mtu(namespace: &Namespace, to: &str) -> State {
    let text = namespace.ip(&format!("route get {to}"));
    let mut words = text.split_whitespace().skip_while(|word| *word != "mtu").skip(1);
    let mtu = words.find(|word| *word != "lock").map_or(1500, |mtu| mtu.parse().expect("an MTU"));
    State::new(mtu < 1500, format!("path MTU {mtu}"))
}

/// Whether an address is one of IPv6, the protected one of that version, and its neighbour's.
fn ends(is_v6: bool) -> (&'static str, &'static str) {
    if is_v6 { (HOST6, PEER6) } else { (HOST4, PEER4) }
}

/// How many frames of an EtherType have arrived at an interface that are so, since this was made. What comes within a
/// tenth of a second is waited for.
fn heard<'a>(
    namespace: &Namespace,
    interface: &str,
    ether_type: u16,
    is: impl Fn(&[u8]) -> bool + 'a,
) -> impl FnMut() -> u64 + 'a {
    let tap = Tap::new(namespace, interface, ether_type);
    let mut count = 0;
    move || {
        while let Some(frame) = tap.next(Instant::now() + Duration::from_millis(100)) {
            count += u64::from(is(&frame));
        }
        count
    }
}

/// Whether a frame of IPv4 is an echo or timestamp reply with this identifier.
fn answers(frame: &[u8], identifier: u8) -> bool {
    frame[23] == 1 && [0, 14].contains(&frame[34]) && frame[39] == identifier
}

fn port(socket: std::io::Result<std::net::SocketAddr>) -> u16 {
    socket.expect("bound").port()
}

/// Numbers of octets that a connection doesn't send for a long time, all over the space.
fn guesses(next: u32) -> String {
    let all = (1..=4_u32).map(|n| next.wrapping_add(n << 29).to_string());
    all.collect::<Vec<_>>().join(" ")
}

/// What the kernel by itself has refused as out of what is in flight.
fn out_of_window(site: &Site) -> u64 {
    kernel(&site.pair.host, "TcpExt:OutOfWindowIcmps")
}

/// A way to everywhere by the neighbour, who leads to nowhere.
fn gateway(site: &Site) {
    site.pair.host.ip(&format!("route add default via {PEER4}"));
}

/// A connection that is asked for, and whom it is asked of says nothing. The errors have guessed numbers, or the one
/// that whoever sees the request knows.
pub fn asking(site: &Site, is_seen: bool) -> Victim<'_> {
    gateway(site);
    let tap = Tap::new(&site.pair.peer, PEER_IF, 0x800);
    let stream = site.pair.host.run(|| connecting((HOST4, 0), (FAR, 80)));
    let until = Instant::now() + PATIENCE;
    let request = std::iter::from_fn(|| tap.next(until)).find(|frame| frame[23] == 6);
    let sequence = &request.expect("a request")[38..42];
    let sequence = u32::from_be_bytes(sequence.try_into().expect("four octets"));
    let sequences = if is_seen { sequence.to_string() } else { guesses(sequence) };
    let near = port(stream.local_addr());
    let frames = format!("about_tcp 3/3 0 {PEER4} {HOST4} {FAR} {near} 80 {sequences}");
    Victim::new(frames, move || {
        let is_asking = info(&stream).tcpi_state == TCP_SYN_SENT;
        let is = if is_asking { "connecting" } else { "connection refused" };
        State::new(!is_asking, format!("{is}, OutOfWindowIcmps {}", out_of_window(site)))
    })
}

/// A connection between the two machines.
fn connection(site: &Site, is_v6: bool) -> (TcpStream, TcpListener) {
    let (here, there) = ends(is_v6);
    let listener = site.pair.peer.run(|| TcpListener::bind((there, 0)).expect("a port"));
    let near = site.pair.host.run(|| connect((here, 0), &listener));
    (near, listener)
}

/// The path of a connection, by errors with guessed numbers: this type and code, and this MTU.
pub fn connected<'a>(site: &'a Site, is_v6: bool, kind: &str, mtu: u32) -> Victim<'a> {
    let (here, there) = ends(is_v6);
    let (stream, listener) = connection(site, is_v6);
    let (near, far) = (port(stream.local_addr()), port(listener.local_addr()));
    let sequences = guesses(send_next(&stream));
    let frames = format!("about_tcp {kind} {mtu} {there} {here} {there} {near} {far} {sequences}");
    Victim::new(frames, move || {
        let _open = (&stream, &listener);
        let mut state = path_mtu(&site.pair.host, there);
        state.text += &format!(", OutOfWindowIcmps {}", out_of_window(site));
        state
    })
}

/// The path to the neighbour, by an error about an echo reply that this machine hasn't sent: with this MTU, from that
/// source, and about what `sender` is said to have sent, if not this machine.
pub fn path<'a>(
    site: &'a Site,
    is_v6: bool,
    mtu: u32,
    source: Option<&str>,
    sender: Option<&str>,
) -> Victim<'a> {
    let (here, there) = ends(is_v6);
    let kind = if is_v6 { "2/0" } else { "3/4" };
    let (source, sender) = (source.unwrap_or(there), sender.unwrap_or(here));
    let frames = format!("about_echo {kind} {mtu} {source} {here} {sender} {there}");
    Victim::new(frames, move || path_mtu(&site.pair.host, there))
}

/// A socket that is connected to the neighbour, which an error names by its ports.
pub fn datagrams(site: &Site) -> Victim<'_> {
    let socket = site.pair.host.run(|| {
        let socket = UdpSocket::bind((HOST4, 0)).expect("a port");
        socket.connect((PEER4, 53)).expect("a way");
        socket
    });
    let near = port(socket.local_addr());
    let mut refused = false;
    Victim::new(format!("about_udp 3/3 0 {PEER4} {HOST4} {PEER4} {near} 53"), move || {
        refused |= socket.take_error().expect("it is open").is_some();
        State::new(refused, if refused { "connection refused" } else { "open" })
    })
}

/// A connection whose sender is asked to slow down, by who sees its numbers.
pub fn sender(site: &Site) -> Victim<'_> {
    let (stream, listener) = connection(site, false);
    let (near, far) = (port(stream.local_addr()), port(listener.local_addr()));
    let before = info(&stream).tcpi_snd_cwnd;
    let next = send_next(&stream);
    let frames = format!("quench {PEER4} {HOST4} {PEER4} {near} {far} {next}");
    Victim::new(frames, move || {
        let _open = &listener;
        let now = info(&stream).tcpi_snd_cwnd;
        State::new(now < before, format!("congestion window {now}"))
    })
}

/// The way to somewhere else: a redirect that says that it is from the gateway, from whose hardware or the forger's.
pub fn way(site: &Site, is_from_gateway: bool) -> Victim<'_> {
    let (host, peer) = (&site.pair.host, &site.pair.peer);
    gateway(site);
    peer.ip(&format!("addr add {OTHER4}/24 dev {PEER_IF}"));
    let socket = host.run(|| {
        let socket = UdpSocket::bind((HOST4, 0)).expect("a port");
        socket.connect((FAR, 53)).expect("a way");
        socket
    });
    host.tool(&format!("ping -n -c 1 -W 5 {PEER4}"));
    let hardware = match is_from_gateway {
        true => peer.hardware(PEER_IF),
        false => "02:00:00:00:00:66".to_owned(),
    };
    let near = port(socket.local_addr());
    let frames = format!("redirect {hardware} {PEER4} {OTHER4} {FAR} {HOST4} {near}");
    let mut victim = Victim::new(frames, move || {
        let _open = &socket;
        let text = host.ip(&format!("route get {FAR}"));
        let via = text.split_whitespace().skip_while(|word| *word != "via").nth(1);
        let via = via.expect("a gateway");
        State::new(via == OTHER4, format!("way by {via}"))
    });
    victim.pace = Duration::from_millis(300);
    victim
}

/// A machine that configures itself, and an advertisement of a router that isn't the network's.
pub fn configured(site: &Site) -> Victim<'_> {
    let host = &site.pair.host;
    host.sysctl(&format!("ipv6/conf/{HOST_IF}/accept_ra"), "2");
    Victim::new("advertised fe80::66", move || {
        let routes = host.ip("-6 route show default");
        let is = routes.contains("via fe80::66 ");
        State::new(is, if is { "default route by fe80::66" } else { "no default route" })
    })
}

/// The same of ICMPv4.
pub fn configured_v4(site: &Site) -> Victim<'_> {
    let host = &site.pair.host;
    Victim::new(format!("advertised_v4 {OTHER4} {HOST4}"), move || {
        let routes = host.ip("route show default");
        State::new(!routes.is_empty(), format!("default routes {}", routes.lines().count()))
    })
}

/// What is known of a neighbour, and an advertisement that it has other hardware: with this hop limit, and a fragment
/// header or none.
pub fn neighbour<'a>(site: &'a Site, hops: u8, fragment: &str) -> Victim<'a> {
    let (host, peer) = (&site.pair.host, &site.pair.peer);
    host.tool(&format!("ping -n -c 1 -W 5 {PEER6}"));
    let true_one = peer.hardware(PEER_IF);
    Victim::new(format!("neighbour {hops} {fragment} {PEER6} {HOST6}"), move || {
        let known = host.ip(&format!("-6 neigh show {PEER6} dev {HOST_IF}"));
        let is_true = known.contains(&true_one);
        let whose = if is_true { "the neighbour's" } else { "the forger's" };
        State::new(!is_true, format!("hardware of {PEER6}: {whose}"))
    })
}

/// Another neighbour, in whose name this machine is asked so often for an answer of a type, and who hears what is
/// answered.
fn asked<'a>(site: &'a Site, kind: u8, count: u64, to: &str) -> Victim<'a> {
    let peer = &site.pair.peer;
    peer.ip(&format!("addr add {OTHER4}/24 dev {PEER_IF}"));
    peer.ip(&format!("addr add {OTHER6}/64 dev {PEER_IF} nodad"));
    let is_v6 = to.contains(':');
    let source = if is_v6 { OTHER6 } else { OTHER4 };
    // Whose hardware isn't known yet, answers wait for, and some are lost.
    peer.tool(&format!("ping -n -c 1 -W 5 -I {source} {}", ends(is_v6).0));
    let mut heard = heard(peer, PEER_IF, if is_v6 { 0x86dd } else { 0x800 }, move |frame| {
        // None has options or extension headers.
        if is_v6 { [frame[20], frame[54], frame[59]] == [58, 129, 9] } else { answers(frame, 9) }
    });
    let mut victim = Victim::new(format!("asked {kind} {count} {source} {to}"), move || {
        State::of(heard(), count, "answers")
    });
    victim.pace = Duration::from_micros(100);
    victim
}

/// Echo requests to the broadcast address, from the one who is to have the answers; to which Linux by default keeps
/// silent.
pub fn broadcast(site: &Site, is_answered: bool) -> Victim<'_> {
    if is_answered {
        site.pair.host.sysctl("ipv4/icmp_echo_ignore_broadcasts", "0");
    }
    asked(site, 8, 1_000, "10.77.0.255")
}

/// The same to all nodes of the link.
pub fn all_nodes(site: &Site) -> Victim<'_> {
    asked(site, 128, 1_000, "ff02::1")
}

/// A machine whose clock is asked for.
pub fn clock(site: &Site) -> Victim<'_> {
    asked(site, 13, 5, HOST4)
}

/// The kernel's counter of echo replies that it has sent.
fn replies(is_v6: bool) -> &'static str {
    if is_v6 { "Icmp6OutEchoReplies" } else { "Icmp:OutEchoReps" }
}

/// A machine that is asked for echo in its own name: it is harmed where it answers what it answers.
pub fn itself(site: &Site, is_v6: bool) -> Victim<'_> {
    const COUNT: u64 = 10;
    let (here, _) = ends(is_v6);
    Victim::new(format!("asked 8 {COUNT} {here} {here}"), move || {
        let answers = kernel(&site.pair.host, replies(is_v6));
        State::new(answers > COUNT, format!("answers itself {answers} of {COUNT}"))
    })
}

/// Two who ask for echo: one again and again, and the other from time to time.
pub fn flooded(site: &Site) -> Victim<'_> {
    const FLOOD: u64 = 2_000;
    const EVERY: u64 = 50;
    let peer = &site.pair.peer;
    peer.ip(&format!("addr add {OTHER4}/24 dev {PEER_IF}"));
    for source in [OTHER4, PEER4] {
        peer.tool(&format!("ping -n -c 1 -W 5 -I {source} {HOST4}"));
    }
    let mut of = [9, 10].map(|id| heard(peer, PEER_IF, 0x800, move |frame| answers(frame, id)));
    let frames = format!("flood {FLOOD} {EVERY} {OTHER4} {PEER4} {HOST4}");
    let mut victim = Victim::new(frames, move || {
        let [flood, others] = of.each_mut().map(|heard| heard());
        let mut state = State::of(flood, FLOOD, "answers");
        state.text += &format!(", to another {others} of {}", FLOOD / EVERY);
        if State::of(others, FLOOD / EVERY, "").harm != Harm::Full {
            state.harm = Harm::Full;
        }
        state
    });
    victim.pace = Duration::from_micros(50);
    victim
}

/// What puts the fragments of an echo request together, and counts under that name which it refuses.
fn assembled<'a>(site: &'a Site, what: &str, is_v6: bool, counter: &'static str) -> Victim<'a> {
    let (here, there) = ends(is_v6);
    Victim::new(format!("{what} {there} {here}"), move || {
        let [answers, refused] = [replies(is_v6), counter].map(|of| kernel(&site.pair.host, of));
        let name = counter.trim_start_matches("Ip6").trim_start_matches("Ip:");
        State::new(answers > 0, format!("answers {answers} of 1, {name} {refused}"))
    })
}

/// Fragments that end beyond what lengths can state.
pub fn beyond(site: &Site, is_v6: bool) -> Victim<'_> {
    // To Linux one of IPv6 is a header with an error in it.
    assembled(site, "death", is_v6, if is_v6 { "Ip6InHdrErrors" } else { "Ip:ReasmFails" })
}

/// Fragments that overlap.
pub fn overlapping(site: &Site, is_v6: bool) -> Victim<'_> {
    assembled(site, "overlap", is_v6, if is_v6 { "Ip6ReasmFails" } else { "Ip:ReasmFails" })
}

/// Makes the protected interface the port of a bridge that watches who is a member of what; frames of this many octets
/// come through. The addresses are the bridge's.
fn bridge(site: &Site, mtu: u32) {
    let (host, peer) = (&site.pair.host, &site.pair.peer);
    host.ip(&format!("link set {HOST_IF} mtu {mtu}"));
    peer.ip(&format!("link set {PEER_IF} mtu {mtu}"));
    host.ip(&format!("addr flush dev {HOST_IF}"));
    host.ip("link add br0 type bridge mcast_snooping 1");
    host.ip(&format!("link set {HOST_IF} master br0"));
    host.ip(&format!("link set {HOST_IF} type bridge_slave mcast_fast_leave on"));
    host.ip("link set br0 up");
    host.ip(&format!("addr add {HOST4}/24 dev br0"));
    host.ip(&format!("addr add {HOST6}/64 dev br0 nodad"));
}

/// How many groups the bridge knows members of behind the protected interface that begin so.
fn members(host: &Namespace, start: &str) -> usize {
    let table = host.tool("bridge mdb show dev br0");
    let is = |line: &&str| line.contains(&format!("port {HOST_IF} grp {start}"));
    table.lines().filter(is).count()
}

/// A member of a group behind the port of a bridge, and somebody else's word that it has left.
fn member<'a>(site: &'a Site, group: &'static str, frames: String) -> Victim<'a> {
    let (host, peer) = (&site.pair.host, &site.pair.peer);
    bridge(site, 1500);
    let index = peer.index(PEER_IF);
    let address: IpAddr = group.parse().expect("a group");
    let octets = match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    // Of what comes to the port of a bridge, only who asks for all of it hears.
    let mut reports = heard(host, HOST_IF, libc::ETH_P_ALL as u16, move |frame| {
        frame.windows(octets.len()).any(|part| part == octets)
    });
    let joined = peer.run(|| match address {
        IpAddr::V4(group) => {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("a port");
            let own = PEER4.parse().expect("an address");
            socket.join_multicast_v4(&group, &own).map(|()| socket)
        }
        IpAddr::V6(group) => {
            let socket = UdpSocket::bind("[::]:0").expect("a port");
            socket.join_multicast_v6(&group, index).map(|()| socket)
        }
    });
    let joined = joined.expect("it is a member");
    // A member says so again within a second of the time before (RFC 9776 8.1, 8.11), and no more of its own once it
    // hasn't.
    let mut said = 0;
    let is_silent = eventually(PATIENCE, || {
        thread::sleep(Duration::from_millis(1500));
        let before = std::mem::replace(&mut said, reports());
        before >= 2 && before == said
    });
    assert!(is_silent && members(host, group) == 1, "the bridge knows its member");
    Victim::new(frames, move || {
        let _member = &joined;
        let is = members(host, group) == 1;
        State::new(!is, if is { "the port is a member" } else { "the port is none" })
    })
}

/// A leave of IGMP with this time to live.
pub fn leave<'a>(site: &'a Site, source: &str, ttl: u8) -> Victim<'a> {
    member(site, GROUP4, format!("igmp_leave {source} {ttl} {GROUP4}"))
}

/// A done of MLD with this hop limit.
pub fn done<'a>(site: &'a Site, source: &str, hops: u8) -> Victim<'a> {
    member(site, GROUP6, format!("mld_done {source} {hops} {GROUP6}"))
}

/// The table of a bridge, and a report that states so many records, and has so many.
pub fn table(site: &Site, mtu: u32, stated: u32, present: u32) -> Victim<'_> {
    bridge(site, mtu);
    Victim::new(format!("igmp_report {PEER4} {stated} {present}"), move || {
        let groups = members(&site.pair.host, "239.7.");
        State::new(groups > 0, format!("groups in the bridge's table: {groups}"))
    })
}

/// The version of IGMP by which a machine reports, and a query of the first one.
pub fn version(site: &Site) -> Victim<'_> {
    Victim::new(format!("igmp_query_v1 {ELSEWHERE4} 61"), move || {
        let groups = site.pair.host.tool("cat /proc/net/igmp");
        let line = groups.lines().find(|line| line.contains(HOST_IF)).expect("the interface");
        let version = line.split_whitespace().last().expect("its version");
        State::new(version != "V3", format!("reports by {version}"))
    })
}

/// A member of a group, who is asked again and again for a report at once.
pub fn reporter(site: &Site) -> Victim<'_> {
    const QUERIES: u64 = 2_000;
    let host = &site.pair.host;
    let joined = host.run(|| UdpSocket::bind("0.0.0.0:0").expect("a port"));
    let group = GROUP4.parse().expect("a group");
    joined.join_multicast_v4(&group, &HOST4.parse().expect("an address")).expect("a member");
    let mut reports = heard(&site.pair.peer, PEER_IF, 0x800, |frame| {
        let header = usize::from(frame[14] & 0xf) * 4;
        frame[23] == 2 && frame[14 + header] == 0x22
    });
    let mut victim = Victim::new(format!("igmp_queries_v3 {QUERIES} {PEER4}"), move || {
        let _member = &joined;
        State::of(reports(), QUERIES, "reports to queries")
    });
    victim.pace = Duration::from_millis(1);
    victim
}
