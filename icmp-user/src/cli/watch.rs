//! What a run keeps up with while the machine changes under it: its addresses, and interfaces that
//! go away and come back, or get another name.

use super::{
    output::say,
    start::{say_attached, say_too_many, say_without_shares},
};
use crate::datapath::{
    self, AttachMode, Error, Interface, KernelLog, Maps, PinDir, Renamed, attached_index, follow,
    name_of, reattach, renamed, surroundings, watch_addresses,
};
use icmp_common::abi::name;
use std::time::Duration;
use tokio::{
    sync::mpsc,
    task::spawn_blocking,
    time::{sleep, timeout},
};

/// How long changes are let gather before the addresses are read again.
const GATHER: Duration = Duration::from_millis(100);
/// How long to wait after a failure.
const RETRY: Duration = Duration::from_secs(1);

/// How long what is read stays good without a word of the kernel: it has none for the distance of
/// TAI from UTC, which a time server may tell it later.
const STALE: Duration = Duration::from_secs(60);

/// The addresses of the machine, in the maps that tell local from transit and what is answered from.
pub struct Addresses {
    pins: PinDir,
    changes: mpsc::Receiver<()>,
    /// The last failure that was said, so that it is said once.
    said: Option<String>,
    /// Whether the last attempt failed, so that the next comes by itself.
    failed: bool,
    /// Where shares of an interface's speed aren't in force, as was said last.
    without_shares: Vec<String>,
}

/// What didn't come into the maps.
struct Missed {
    addresses: usize,
    networks: usize,
    without_shares: Vec<String>,
}

impl Addresses {
    /// Listens to changes from now on.
    pub fn watch(pins: PinDir) -> Result<Self, Error> {
        let (said, failed, without_shares) = (None, false, Vec::new());
        Ok(Self { pins, changes: watch_addresses()?, said, failed, without_shares })
    }

    /// Keeps the map up to date until the task is dropped. Where shares of an interface's speed aren't
    /// in force was said of these.
    pub async fn keep(mut self, without_shares: Vec<String>) {
        self.without_shares = without_shares;
        loop {
            self.changed().await;
            self.refresh().await;
        }
    }

    /// Waits until the addresses may have changed.
    async fn changed(&mut self) {
        if self.failed {
            sleep(RETRY).await;
            return;
        }
        if let Ok(None) = timeout(STALE, self.changes.recv()).await {
            // The kernel's messages ended: listen anew, and read once for what was missed.
            sleep(RETRY).await;
            match watch_addresses() {
                Ok(changes) => self.changes = changes,
                Err(error) => self.say_once(&error),
            }
        }
    }

    /// Reads them and writes the map.
    async fn refresh(&mut self) {
        sleep(GATHER).await;
        while self.changes.try_recv().is_ok() {}
        match self.write().await {
            Ok(Missed { addresses, networks, without_shares }) => {
                (self.failed, self.said) = (false, None);
                say_too_many(addresses, networks);
                self.say_shares(without_shares);
            }
            // Detached by another command: there is no map to write any more.
            Err(Error::NoInstance { .. }) => self.failed = false,
            Err(error) => {
                self.failed = true;
                self.say_once(&error);
            }
        }
    }

    /// Says where shares came into force, or went out of it.
    fn say_shares(&mut self, without: Vec<String>) {
        let before = std::mem::replace(&mut self.without_shares, without);
        let now = &self.without_shares;
        for name in before.iter().filter(|name| !now.contains(name)) {
            say(format_args!("{name}: limits that are a share of its speed are in force again"));
        }
        let new = now.iter().filter(|name| !before.contains(name));
        say_without_shares(&new.cloned().collect::<Vec<_>>());
    }

    async fn write(&self) -> Result<Missed, Error> {
        let known = surroundings().await?;
        let pins = self.pins.clone();
        let write = move || {
            pins.require()?;
            let _lock = pins.lock()?;
            let mut maps = Maps::open(&pins)?;
            let (addresses, networks) = maps.set_surroundings(&known)?;
            Ok(Missed { addresses, networks, without_shares: maps.without_shares()? })
        };
        blocking(write).await
    }

    fn say_once(&mut self, error: &Error) {
        let text = error.to_string();
        if self.said.as_deref() != Some(&text) {
            say(format_args!("the addresses of this machine are not up to date: {text}"));
            self.said = Some(text);
        }
    }
}

/// The interfaces of a run.
pub struct Interfaces {
    pins: PinDir,
    mode: AttachMode,
    watched: Vec<Watched>,
    logs: Vec<KernelLog>,
}

struct Watched {
    name: String,
    state: State,
    /// The last thing that was said of its other name, so that it is said once.
    said: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Attached,
    /// The interface went away. With the last thing that was said of attaching again.
    Gone(Option<String>),
    /// Another command detached it, which is to be left so.
    Detached,
}

impl Interfaces {
    /// Looks after these, which have just been attached.
    pub fn new(pins: PinDir, interfaces: &[Interface], mode: AttachMode) -> Self {
        let watched =
            |i: &Interface| Watched { name: i.name.clone(), state: State::Attached, said: None };
        Self { pins, mode, watched: interfaces.iter().map(watched).collect(), logs: Vec::new() }
    }

    /// Says from now on what these programs have to say.
    pub fn listen(&mut self, logs: impl Iterator<Item = KernelLog>) {
        self.logs.extend(logs);
    }

    /// Whether none is left to look after.
    pub fn all_detached(&self) -> bool {
        self.watched.iter().all(|w| w.state == State::Detached)
    }

    /// Those that are left to look after, under the names that they have here.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let left = self.watched.iter().filter(|w| w.state != State::Detached);
        left.map(|w| w.name.as_str())
    }

    /// Looks at each, says what changed, and attaches again where one came back.
    pub async fn look(&mut self) {
        for line in self.logs.iter_mut().flat_map(KernelLog::take) {
            say(format_args!("the kernel program says: {line}"));
        }
        let (mut gone, mut other_name) = (false, false);
        for watched in self.watched.iter_mut().filter(|w| w.state != State::Detached) {
            let Watched { name, state, .. } = watched;
            let seen = seen(&self.pins, name);
            if let Seen::Attached(index) = seen {
                other_name |= name_of(index).is_some_and(|now| now != *name);
            }
            match seen {
                Seen::Unpinned => {
                    say(format_args!("{name}: detached by another command; it is left so"));
                    *state = State::Detached;
                }
                Seen::Attached(_) if *state != State::Attached => {
                    say(format_args!("{name}: attached again by another command"));
                    *state = State::Attached;
                }
                Seen::Gone => {
                    if *state == State::Attached {
                        say(format_args!(
                            "{name} went away; its counters are kept, and it is attached again \
                             when it is back"
                        ));
                        *state = State::Gone(None);
                    }
                    gone = true;
                }
                Seen::Attached(_) | Seen::Unknown => {}
            }
        }
        if !(gone || other_name) {
            return;
        }
        // Where the kernel can't be asked now, it is a second later.
        let Ok(present) = datapath::interfaces().await else { return };
        if other_name {
            // Where one takes the name that another gives up, the other's turn comes first.
            while self.follow_names(&present, false).await {}
            self.follow_names(&present, true).await;
        }
        if gone {
            self.bring_back(&present).await;
        }
    }

    /// Moves what is pinned of interfaces that have another name to that; whether any was. Why one
    /// can't be is only said at the last attempt.
    async fn follow_names(&mut self, present: &[Interface], last: bool) -> bool {
        let mut moved = false;
        for change in renamed(&self.pins, present) {
            // What another process attached here is looked after by that, or by nobody.
            let is = |w: &&mut Watched| w.name == change.old && w.state != State::Detached;
            let Some(watched) = self.watched.iter_mut().find(is) else { continue };
            let (pins, moving) = (self.pins.clone(), change.clone());
            match blocking(move || follow(&pins, &moving)).await {
                Ok(()) => {
                    say_renamed(&change);
                    say(format_args!(
                        "nothing filters another {0} from now on; rules that name {0} or {1} hold \
                         as they did until the next `icmpgate apply`",
                        change.old, change.new
                    ));
                    (watched.name, watched.said) = (change.new, None);
                    moved = true;
                }
                Err(error) if last => {
                    let text = error.to_string();
                    if watched.said.as_deref() != Some(&text) {
                        say(format_args!("{text}; until then it goes on as {}", change.old));
                        watched.said = Some(text);
                    }
                }
                Err(_) => {}
            }
        }
        moved
    }

    async fn bring_back(&mut self, present: &[Interface]) {
        let renamed = renamed(&self.pins, present);
        for watched in &mut self.watched {
            let (name, State::Gone(said)) = (&watched.name, &mut watched.state) else { continue };
            // One that is ours under another name is not the one that went away.
            let is = |i: &&Interface| i.name == *name && renamed.iter().all(|r| r.new != *name);
            let Some(interface) = present.iter().find(is).cloned() else { continue };
            let result = if interface.ethernet {
                let (pins, mode) = (self.pins.clone(), self.mode);
                blocking(move || reattach(&pins, &interface, mode)).await
            } else {
                Err(Error::NotEthernet { name: interface.name, link_type: interface.link_type })
            };
            match result {
                Ok(mut attached) => {
                    say_attached(&attached, self.mode, true);
                    self.logs.extend(attached.log.take());
                    watched.state = State::Attached;
                }
                Err(error) => {
                    let text = error.to_string();
                    if said.as_deref() != Some(&text) {
                        say(format_args!("{name} is back and can't be attached: {text}"));
                        *said = Some(text);
                    }
                }
            }
        }
    }
}

/// That what is pinned for an interface was moved to the name that it has.
pub fn say_renamed(Renamed { old, new, .. }: &Renamed) {
    say(format_args!(
        "{old} is called {new} now: it is filtered on under that name, and its counters go on"
    ));
}

/// What can be seen of an interface from its pins.
enum Seen {
    /// Its program is on the interface of this index.
    Attached(u32),
    Gone,
    /// Nothing is pinned for it.
    Unpinned,
    /// The kernel can't be asked now.
    Unknown,
}

fn seen(pins: &PinDir, interface: &str) -> Seen {
    // Paths are asked for and not opened: a process without a free descriptor must not take its
    // own want for a change.
    match attached_index(pins, interface) {
        Some(0) => Seen::Gone,
        Some(index) => Seen::Attached(index),
        None if pins.link(interface).exists() => Seen::Unknown,
        None if pins.interface_map(interface, name::COUNTERS).exists() => Seen::Gone,
        None => Seen::Unpinned,
    }
}

/// Does what takes its time apart from the thread that answers.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let joined = spawn_blocking(work).await;
    joined.unwrap_or_else(|error| {
        Err(Error::Io { what: "a task of this program".to_owned(), source: error.into() })
    })
}
