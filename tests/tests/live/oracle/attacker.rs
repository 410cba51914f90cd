//! The attacker: what he sends and what he hears.
//!
//! He sends under foreign addresses what makes the machine answer with errors that he never sees,
//! then under his own, and counts the errors that come to these: whatever the total had left. He
//! knows the limit and its rate, waits until its bucket is full and the kernel's clock has ticked,
//! and hears each error that is for him.

mod search;

use super::{
    clock,
    family::{CLOSED, Heard, Side},
};
use icmpgate_tests::{
    Site,
    netns::{PATIENCE, PEER_IF, Wire},
    tap::Tap,
};
use std::{
    thread,
    time::{Duration, Instant},
};

/// The burst of the total: at most this many errors leave at once.
pub const BURST: usize = 50;
/// How long its bucket takes to fill at 1,000 a second, with a tick of the kernel's clock and what
/// a charge of two may take it beyond its burst.
pub const REFILL: Duration = Duration::from_millis(56);
/// How often he measures at most until no tick disturbs it.
const TRIES: usize = 3;
/// So few that they leave plenty of a full bucket, even where each is charged more than once.
const FEW: u32 = 15;

/// An attacker of one machine.
pub struct Attacker<'a> {
    site: &'a Site,
    side: Side,
    wire: Wire,
    tap: Tap,
    dice: fastrand::Rng,
    ready: Instant,
    foreign: u32,
    own: u32,
    addresses: u32,
    pool: u32,
    /// How long he waits after each measurement.
    pub pause: Duration,
    /// Measurements made.
    pub measured: u64,
    /// Errors heard, those to addresses that are made up too.
    pub heard: u64,
    /// Probes sent to closed ports: each of them makes an error. The referee's, as the next is.
    pub closed: u64,
    open: u16,
}

impl<'a> Attacker<'a> {
    /// One who plays from here, with one address.
    pub fn new(site: &'a Site, side: Side) -> Self {
        Self {
            site,
            side,
            wire: site.pair.peer.wire(PEER_IF),
            tap: Tap::new(&site.pair.peer, PEER_IF, side.family.ether_type()),
            dice: fastrand::Rng::new(),
            ready: Instant::now() + REFILL,
            foreign: 0,
            own: 0,
            addresses: 1,
            pool: u32::MAX,
            pause: REFILL,
            measured: 0,
            heard: 0,
            closed: 0,
            open: 0,
        }
    }

    /// Opens a port of the machine, and does something meanwhile.
    fn while_open<T>(&mut self, port: u16, what: impl FnOnce(&mut Self) -> T) -> T {
        let open = self.side.open(&self.site.pair.host, port);
        self.open = port;
        let result = what(self);
        self.open = 0;
        drop(open);
        result
    }

    /// Whether he finds a port that is opened for it among the candidates.
    pub fn finds(&mut self, search: fn(&mut Self) -> Option<u16>) -> bool {
        let open = self.dice.u16(self.side.candidates());
        self.while_open(open, search) == Some(open)
    }

    /// Waits for the bucket, probes these ports under addresses that he makes up, then a closed one
    /// under his own, and counts the errors that came to these. What a tick disturbed he measures
    /// again: a few times, as on a busy machine there may be no end to it.
    fn measure(&mut self, ports: &[u16], own: usize) -> usize {
        let mut came = 0;
        for _ in 0..TRIES {
            // Errors quote the source port, so that none of another measurement is counted.
            let tag = 1024 + (self.measured % 60_000) as u16;
            let frames = self.frames(ports, own, tag);
            thread::sleep(self.ready.saturating_duration_since(Instant::now()));
            clock::wait_for_tick();
            let tick = clock::last_tick();
            came = self.send_and_count(&frames, tag);
            let disturbed = clock::last_tick() != tick;
            self.ready = Instant::now() + self.pause;
            if !disturbed {
                break;
            }
        }
        came
    }

    /// The frames of one measurement. Each is sent, so the referee counts it here.
    fn frames(&mut self, ports: &[u16], own: usize, tag: u16) -> Vec<Vec<u8>> {
        self.measured += 1;
        self.closed += (own + ports.iter().filter(|port| **port != self.open).count()) as u64;
        let mut frames = Vec::with_capacity(ports.len() + own + 1);
        for port in ports {
            self.foreign = (self.foreign + 1) % self.pool;
            frames.push(self.side.foreign(self.foreign, tag, *port));
        }
        for _ in 0..own {
            self.own = (self.own + 1) % self.addresses;
            frames.push(self.side.own(self.own, tag, CLOSED));
        }
        frames.push(self.side.echo(tag));
        frames
    }

    /// An echo request is the end of the frames, and its reply the end of the errors: packets of one
    /// cable keep their order.
    fn send_and_count(&mut self, frames: &[Vec<u8>], tag: u16) -> usize {
        self.wire.send(frames, u32::MAX);
        let (mut mine, until) = (0, Instant::now() + PATIENCE);
        loop {
            let frame = self.tap.next(until).expect("the reply to an echo request comes");
            match self.side.hear(&frame) {
                Some(Heard::Error { own, tag: of }) => {
                    self.heard += 1;
                    mine += usize::from(own && of == tag);
                }
                Some(Heard::Echo { tag: of }) if of == tag => break,
                _ => {}
            }
        }
        assert_eq!(self.tap.lost(), 0, "all frames were heard");
        mine
    }

    /// Uses so many own addresses and, over and over, some that he makes up. All of them are used
    /// while the total has plenty, so that none is a stranger to the limit: it keeps a quarter of
    /// the burst for those that it knows, which would hide from some of them what the others spend.
    pub fn known(&mut self, addresses: u32) {
        // A prime, so that each has another place in each burst.
        (self.addresses, self.pool) = (addresses, 211);
        // What so few took comes back sooner than a whole burst.
        self.pause = REFILL / 2;
        for _ in 0..3 {
            for _ in 0..self.pool.div_ceil(FEW) {
                self.measure(&[CLOSED; FEW as usize], 0);
            }
            for _ in 0..addresses.div_ceil(FEW) {
                self.measure(&[], FEW.min(addresses) as usize);
            }
        }
        self.pause = REFILL;
    }

    /// Uses so many own addresses, and as many more as there are, none of them twice: all are
    /// strangers.
    pub const fn strangers(&mut self, addresses: u32) {
        (self.addresses, self.pool) = (addresses, u32::MAX);
    }
}
