//! A game: machines with the profile and, towards some networks, a limit that charges exactly, and
//! the questions that attackers are asked on them.

use super::{
    attacker::{Attacker, REFILL},
    family::{CANDIDATES, EXACT, Family, NETWORKS, Side, hardware_addresses},
};
use crate::{assert_counted, counted, host};
use icmpgate_tests::{
    Site,
    daemon::{Daemon, Stats},
    netns::{HOST_IF, PEER_IF, PEER4, PEER6},
    odds::Proportion,
};
use std::{
    fmt, iter,
    panic::resume_unwind,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// How many machines are attacked at once: before each measurement a bucket has to fill, so that
/// most of the time is waited.
const MACHINES: usize = 12;
/// How often each question is asked.
pub const TRIALS: usize = 200;
/// In IPv6, how often the port is searched for.
pub const FEWER: usize = 100;
/// How often guessing finds the port.
pub const GUESS: f64 = 1.0 / CANDIDATES as f64;
/// How many addresses an attacker has in IPv6, each in a /64 of its own, where he has a /48: so
/// many that he uses none twice, and each is a stranger to the limit.
const NETWORKS_OF_A_48: u32 = 1 << 16;

/// How two batches are told apart, one of which holds the open port.
pub struct Batches {
    /// How long he waits before each measurement.
    pause: Duration,
    /// How many ports a batch has.
    ports: u16,
    /// How often each of them is probed.
    times: usize,
}

impl fmt::Display for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pause, ports, times } = self;
        write!(f, "one of 2 batches of {ports}, {times} probes each, {pause:?}")
    }
}

const fn batches(pause: Duration, ports: u16, times: usize) -> Batches {
    Batches { pause, ports, times }
}

/// All that are tried.
pub const BATCHES: [Batches; 6] = [
    batches(REFILL, 50, 1),
    batches(REFILL, 10, 5),
    batches(REFILL, 5, 10),
    batches(REFILL, 2, 25),
    batches(REFILL, 1, 50),
    // With the next tick, each 8 ms.
    batches(Duration::from_millis(6), 1, 12),
];

/// One question, which is asked so often, on whatever machine is ready for the next.
pub struct Question {
    left: AtomicUsize,
    answers: Mutex<Vec<bool>>,
}

impl Question {
    fn new(times: usize) -> Self {
        Self { left: times.into(), answers: Mutex::default() }
    }

    /// Asks it until it has been asked so often.
    fn ask(&self, attacker: &mut Attacker<'_>, how: impl Fn(&mut Attacker<'_>) -> bool) {
        let one_less = |left: usize| left.checked_sub(1);
        while self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
            let answer = how(attacker);
            self.answers.lock().expect("nobody panics with it").push(answer);
        }
    }

    /// How often the answer was right.
    pub fn right(&self) -> Proportion {
        Proportion::count(self.answers.lock().expect("nobody panics with it").iter().copied())
    }
}

/// All that is asked in one game: which port is open, by the limit that charges exactly and by the
/// profile, with one address and with many; and by the profile, in which batch it is.
pub struct Game {
    pub exact4: Question,
    pub exact6: Question,
    pub one4: Question,
    pub many4: Question,
    pub many6: Question,
    pub batches: [Question; BATCHES.len()],
}

impl Game {
    /// Plays one, to its end.
    pub fn play() -> Self {
        let game = Self {
            exact4: Question::new(TRIALS),
            exact6: Question::new(FEWER),
            one4: Question::new(TRIALS),
            many4: Question::new(TRIALS),
            many6: Question::new(FEWER),
            batches: BATCHES.map(|_| Question::new(TRIALS)),
        };
        let sites = at_once(iter::repeat_n(machine, MACHINES));
        // One after the other, and before anybody plays: at once they would keep each other
        // waiting. The thread that starts a daemon has to outlive it.
        let daemons: Vec<_> = sites.iter().map(|site| site.start_with(&policy())).collect();
        at_once(sites.iter().zip(daemons).map(|(site, daemon)| || game.play_on(site, daemon)));
        game
    }

    /// Plays on one machine, until nothing is left to ask.
    fn play_on(&self, site: &Site, daemon: Daemon<'_>) {
        let attacker = |family, exact| Attacker::new(site, Side { family, exact });
        let [mut exact4, mut exact6] = [Family::V4, Family::V6].map(|f| attacker(f, true));
        let [mut profile4, mut profile6] = [Family::V4, Family::V6].map(|f| attacker(f, false));
        let exactly = |a: &mut Attacker<'_>| a.finds(Attacker::search_exact);
        let likeliest = |a: &mut Attacker<'_>| a.finds(Attacker::search_likeliest);
        let stats = counted(site, || {
            thread::scope(|scope| {
                scope.spawn(|| self.exact4.ask(&mut exact4, exactly));
                scope.spawn(|| self.exact6.ask(&mut exact6, exactly));
                scope.spawn(|| {
                    profile4.known(1);
                    self.one4.ask(&mut profile4, likeliest);
                    profile4.known(32);
                    self.many4.ask(&mut profile4, likeliest);
                });
                scope.spawn(|| {
                    profile6.strangers(NETWORKS_OF_A_48);
                    self.many6.ask(&mut profile6, likeliest);
                    for (question, batches) in self.batches.iter().zip(BATCHES) {
                        profile6.pause = batches.pause;
                        question
                            .ask(&mut profile6, |a| a.tells_apart(batches.ports, batches.times));
                    }
                });
            });
        });
        assert_sent_and_counted(&stats, Family::V4, &[&exact4, &profile4]);
        assert_sent_and_counted(&stats, Family::V6, &[&exact6, &profile6]);
        let limits = site.json("stats")["limits"].take();
        for (rule, attacker) in [("exact-icmpv4", &exact4), ("exact-icmpv6", &exact6)] {
            let mut limits = limits.as_array().expect("a list").iter();
            let limit = limits.find(|limit| limit["rule"] == rule).expect("the limit of the rule");
            assert_eq!(limit["passed"], attacker.heard);
            assert_eq!(limit["refused"], attacker.closed - attacker.heard);
        }
        daemon.stop();
    }
}

/// What the attackers of a family sent and heard is what was counted, to the packet.
fn assert_sent_and_counted(stats: &Stats, family: Family, attackers: &[&Attacker<'_>]) {
    let sum = |of: fn(&Attacker<'_>) -> u64| attackers.iter().map(|a| of(a)).sum::<u64>();
    let (closed, heard, measured) = (sum(|a| a.closed), sum(|a| a.heard), sum(|a| a.measured));
    let [errors, requests, replies] = family.counted();
    assert_counted(
        stats,
        &[
            &format!("{errors}: {closed}"),
            &format!("{errors} pass within-limit enforce: {heard}"),
            &format!("{errors} drop over-limit enforce: {}", closed - heard),
            &format!("{requests} pass within-limit enforce: {measured}"),
            &format!("{replies} pass accepted enforce: {measured}"),
        ],
    );
}

/// The profile, but that errors to some networks are charged exactly and not by destination: the
/// limit that Linux had until 5.10.
fn policy() -> String {
    let rule = |family: &str, ty: u8| {
        format!(
            "[[rule]]\nname = \"exact-{family}\"\nhook = \"egress\"\nzone = \"exact\"\n\
             family = \"{family}\"\ntype = {ty}\naction = \"limit\"\n\
             limits = [{{ rate = 1000, burst = 50, random = false }}]\n"
        )
    };
    let zone = format!("[zones]\nexact = {EXACT:?}\n");
    host(&(zone + &rule("icmpv4", 3) + &rule("icmpv6", 1)))
}

/// A machine without limits of Linux's own, behind whose neighbour are the networks that are played
/// from.
fn machine() -> Site {
    let site = Site::new();
    let [machine, neighbour] = hardware_addresses();
    let host = &site.pair.host;
    host.ip(&format!("link set {HOST_IF} address {machine}"));
    site.pair.peer.ip(&format!("link set {PEER_IF} address {neighbour}"));
    for via in [PEER4, PEER6] {
        host.ip(&format!("neigh replace {via} lladdr {neighbour} dev {HOST_IF} nud permanent"));
    }
    for network in NETWORKS {
        let via = if network.contains(':') { PEER6 } else { PEER4 };
        host.ip(&format!("route add {network} via {via}"));
        // It says nothing of what it has no use for.
        site.pair.peer.ip(&format!("route add blackhole {network}"));
    }
    site
}

/// Does these things at the same time, each in a thread of its own.
fn at_once<T: Send>(things: impl Iterator<Item = impl FnOnce() -> T + Send>) -> Vec<T> {
    thread::scope(|scope| {
        let threads: Vec<_> = things.map(|thing| scope.spawn(thing)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, T>| {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    })
}
