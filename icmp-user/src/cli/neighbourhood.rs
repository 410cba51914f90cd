//! What a run keeps up with for the penalty box and for redirects: the kernel's neighbours and routes, as the
//! program asks them, and sources that have served their time.
//!
//! Only where the policy in force has a penalty, or an interface that doesn't forward may be sent a redirect. The
//! program takes the mirror to be true for a few seconds after this last said so: where this process dies, hangs or
//! can't read, nobody is boxed any more, who is boxed leaves at their time, and no redirect is verified.

use super::{output::say, watch::blocking};
use crate::datapath::{
    Error, Maps, MirrorMaps, PenaltyBox, PinDir, TooLarge, Version, tables, unforwarded,
    watch_tables,
};
use icmp_common::{
    abi::attach_mode,
    mirror::{NEIGHBOURS, ROUTES},
};
use std::time::{Duration, Instant};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep},
};

/// How often the mirror is said to be true, and the box is swept.
const BEAT: Duration = Duration::from_secs(1);
/// How long the mirror is taken to be true after it was last said to be.
const LEASE: Duration = Duration::from_secs(3);
/// How long changes are let gather before the tables are read again.
const GATHER: Duration = Duration::from_millis(100);
/// How long tables that were too large aren't read again.
const REST: Duration = Duration::from_secs(60);
/// How old the mirror may become without a change that was heard of: messages can be lost.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// The mirror of those around this machine.
pub struct Neighbourhood {
    pins: PinDir,
    changes: mpsc::Receiver<()>,
    /// When the tables were last read and written.
    read: Option<Instant>,
    /// For which versions of IP and interfaces that is.
    of: Needed,
    /// Until when tables that were too large aren't read again.
    rests: Option<Instant>,
    /// The last failure that was said, so that it is said once.
    said: Option<String>,
}

/// Why the mirror isn't true.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Datapath(#[from] Error),
    #[error(
        "this machine has {} neighbours on the interfaces that are attached and {} routes or more, and there \
         is room for {NEIGHBOURS} and {ROUTES}", .0.neighbours, .0.routes
    )]
    TooLarge(TooLarge),
}

impl Neighbourhood {
    /// Listens to changes from now on.
    pub fn watch(pins: PinDir) -> Result<Self, Error> {
        Ok(Self {
            pins,
            changes: watch_tables()?,
            read: None,
            of: Needed::default(),
            rests: None,
            said: None,
        })
    }

    /// Keeps the mirror up to date until the task is dropped.
    pub async fn keep(mut self) {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut changed = false;
            tokio::select! {
                biased;
                _ = beat.tick() => {}
                // Where nobody wants it, changes are left to lie: one is all that they come to.
                heard = self.changes.recv(), if self.read.is_some() => match heard {
                    Some(()) => {
                        sleep(GATHER).await;
                        changed = true;
                    }
                    None => {
                        // The kernel's messages ended: listen anew, and read for what was missed.
                        sleep(BEAT).await;
                        changed = true;
                        match watch_tables() {
                            Ok(changes) => self.changes = changes,
                            Err(error) => self.say_once(&error.into()),
                        }
                    }
                },
            }
            self.look_and_say(changed).await;
        }
    }

    /// Brings the mirror up to date where it is wanted, and says what keeps it from that.
    pub async fn look_and_say(&mut self, changed: bool) {
        if self.rests.is_some_and(|until| Instant::now() < until) {
            return;
        }
        match self.look(changed).await {
            Ok(()) => self.said = None,
            // Detached by another command: there is nothing to keep.
            Err(Failure::Datapath(Error::NoInstance { .. })) => self.read = None,
            Err(error) => {
                self.read = None;
                if let Failure::TooLarge(_) = error {
                    self.rests = Some(Instant::now() + REST);
                }
                self.say_once(&error);
            }
        }
    }

    async fn look(&mut self, changed: bool) -> Result<(), Failure> {
        let pins = self.pins.clone();
        let needed = blocking(move || needed(&pins)).await?;
        if needed.versions.is_empty() {
            self.read = None;
            return Ok(());
        }
        let is_other = needed != self.of;
        self.of = needed;
        if changed || is_other || self.read.is_none_or(|at| at.elapsed() > READ_AGAIN) {
            self.refresh().await?;
            self.read = Some(Instant::now());
        }
        let pins = self.pins.clone();
        blocking(move || {
            MirrorMaps::open(&pins)?.renew(LEASE)?;
            PenaltyBox::open(&pins)?.sweep()
        })
        .await?;
        Ok(())
    }

    /// Reads the tables and writes the maps.
    async fn refresh(&self) -> Result<(), Failure> {
        let tables = tables(&self.of.versions).await?;
        let pins = self.pins.clone();
        let written = blocking(move || {
            pins.require()?;
            let _lock = pins.lock()?;
            let mut maps = Maps::open(&pins)?;
            let interfaces: Vec<(u32, u32)> = maps
                .interfaces()?
                .into_iter()
                .filter(|(_, _, interface)| interface.mode != attach_mode::DETACHED)
                .map(|(id, _, interface)| (id, interface.ifindex))
                .collect();
            match tables.entries(&interfaces) {
                Ok(entries) => maps.mirror().set(&entries).map(Ok),
                Err(too_large) => {
                    maps.mirror().expire()?;
                    Ok(Err(too_large))
                }
            }
        });
        written.await?.map_err(Failure::TooLarge)
    }

    fn say_once(&mut self, error: &Failure) {
        let text = error.to_string();
        // The numbers of a table that is too large change all the time.
        let same = match error {
            Failure::TooLarge(_) => "too large".to_owned(),
            Failure::Datapath(_) => text.clone(),
        };
        if self.said.as_deref() != Some(&same) {
            say(format_args!(
                "nobody is put into the penalty box, and no redirect is verified, for now: {text}"
            ));
            self.said = Some(same);
        }
    }
}

/// What the program asks the mirror for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Needed {
    /// All versions of IP where a rule has a penalty, for redirects those that an interface doesn't forward.
    versions: Vec<Version>,
    /// The interfaces.
    interfaces: Vec<String>,
}

fn needed(pins: &PinDir) -> Result<Needed, Error> {
    let wanted = MirrorMaps::open(pins)?.wanted()?;
    let interfaces = pins.interfaces();
    let versions = match (wanted.penalty, wanted.redirects) {
        (true, _) => vec![Version::V4, Version::V6],
        (false, true) => unforwarded(&interfaces),
        (false, false) => Vec::new(),
    };
    Ok(Needed { versions, interfaces })
}
