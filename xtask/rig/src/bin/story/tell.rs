//! The story itself: one act after the other, and what the gate counted of each.

use crate::{
    acts::{self, Act, Doing},
    flood::{self, Flood},
    forged,
    gate::Gate,
    signal,
    stage::{PEER, PEER_V4, Stage},
    wire::Wire,
};
use anyhow::Result;
use icmpgate_rig::metrics::Counts;
use nix::net::if_::if_nametoindex;
use std::{
    io::IsTerminal as _,
    net::{Ipv4Addr, Ipv6Addr, UdpSocket},
    time::Duration,
};

/// Groups kept for documentation (RFC 6676).
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(233, 252, 0, 1);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff0e, 0, 0, 0, 0, 0xdb8, 0, 1);

/// How long a tool may take.
const TOOL: Duration = Duration::from_secs(30);
/// How long frames may take to be counted.
const COUNTED: Duration = Duration::from_secs(1);
/// Linux says a join twice, the second time within a second at random.
const JOINED: Duration = Duration::from_secs(2);

/// What became of an act.
pub(crate) struct Told {
    pub(crate) act: Act,
    /// What was counted of it.
    pub(crate) counts: Counts,
    /// What its sender says.
    pub(crate) seen: String,
}

impl Told {
    /// Whether all of it came, and had a reason that is right.
    pub(crate) fn as_meant(&self) -> bool {
        let total = self.counts.total();
        let all = self.act.frames.map_or(total > 0, |frames| total == frames);
        all && self.counts.iter().all(|(key, _)| self.act.reasons.contains(&key.reason.as_str()))
    }
}

/// Everything that happened.
pub(crate) struct Story {
    pub(crate) acts: Vec<Told>,
    pub(crate) floods: [Flood; 2],
    /// All that the gate has counted.
    pub(crate) all: Counts,
}

/// Plays all acts.
pub(crate) fn tell(stage: &Stage, gate: &mut Gate) -> Result<Story> {
    let wire = Wire::open(&stage.peer)?;
    // A group is left when its socket goes.
    let mut members = Vec::new();
    let mut told = Vec::new();
    for act in acts::real().into_iter().chain(forged::forged()) {
        progress(&act.title);
        told.push(play(act, stage, gate, &wire, &mut members)?);
    }
    progress("a flood");
    let echo = flood::flood(stage, gate, &wire, flood::echo())?;
    progress("a flood that asks for errors");
    let errors = flood::flood(stage, gate, &wire, flood::errors())?;
    progress("");
    Ok(Story { acts: told, floods: [echo, errors], all: gate.scrape(stage)? })
}

fn play(
    act: Act,
    stage: &Stage,
    gate: &mut Gate,
    wire: &Wire,
    members: &mut Vec<UdpSocket>,
) -> Result<Told> {
    let before = gate.scrape(stage)?;
    let mut seen = String::new();
    let (least, most) = match &act.doing {
        Doing::FromPeer(words) => {
            seen = gist(&stage.peer.tool(words, TOOL)?);
            (act.frames.unwrap_or(1), COUNTED)
        }
        Doing::FromGate(words) => {
            seen = gist(&stage.gate.tool(words, TOOL)?);
            (act.frames.unwrap_or(1), COUNTED)
        }
        Doing::JoinV4 => {
            members.push(stage.peer.run(join_v4)?);
            seen = format!("group {GROUP_V4}");
            (2, JOINED)
        }
        Doing::JoinV6 => {
            members.push(stage.peer.run(join_v6)?);
            seen = format!("group {GROUP_V6}");
            (2, JOINED)
        }
        Doing::Frames(frames) => {
            wire.send(frames)?;
            (frames.len() as u64, COUNTED)
        }
    };
    let mut counts = Counts::default();
    signal::wait(most, || {
        counts = gate.scrape(stage)?.since(&before).only(|key| act.about.covers(key));
        anyhow::Ok(counts.total() >= least)
    })?;
    Ok(Told { act, counts, seen })
}

fn join_v4() -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.join_multicast_v4(&GROUP_V4, &PEER_V4)?;
    Ok(socket)
}

fn join_v6() -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
    socket.join_multicast_v6(&GROUP_V6, if_nametoindex(PEER)?)?;
    Ok(socket)
}

/// What a tool's output comes to.
fn gist(output: &str) -> String {
    let line = |has: &str| output.lines().find(|line| line.contains(has));
    if let Some(line) = line(" packets transmitted, ") {
        let numbers: Vec<&str> = line.split(' ').filter(|w| w.parse::<u64>().is_ok()).collect();
        return match numbers[..] {
            [sent, received, ..] => format!("{received} of {sent} answered"),
            _ => line.to_owned(),
        };
    }
    // traceroute: a line a hop behind its heading.
    let hops = output.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1));
    let hops: Vec<&str> = hops.collect();
    match hops[..] {
        [] => output.trim().to_owned(),
        _ => format!("hop {}", hops.join(", ")),
    }
}

/// Says on a terminal what is being done; an empty text takes it away.
fn progress(what: &str) {
    if std::io::stderr().is_terminal() {
        let line = if what.is_empty() { String::new() } else { format!("sending: {what} ...") };
        eprint!("\r\x1b[K{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tools_print_is_cut_to_the_point() {
        let ping = "PING 192.0.2.1 (192.0.2.1) 56(84) bytes of data.\n\n--- 192.0.2.1 ping statistics \
                    ---\n5 packets transmitted, 4 received, 20% packet loss, time 804ms\n";
        assert_eq!(gist(ping), "4 of 5 answered");
        let trace = "traceroute to 192.0.2.1 (192.0.2.1), 30 hops max, 60 byte packets\n 1  \
                     192.0.2.1  0.060 ms\n";
        assert_eq!(gist(trace), "hop 192.0.2.1");
        assert_eq!(
            gist("ping: connect: Network is unreachable\n"),
            "ping: connect: Network is unreachable"
        );
    }
}
