//! Attaching to an interface, taking up what a former process left, and detaching.

use super::{
    Error, ForeignXdp, Interface, KernelLog, Maps, PinDir, Surroundings, attached_index, egress,
    error::errno,
    instance::{Pair, for_interface, load_egress, load_ingress},
    link::{detach_link, remove_file},
    maps::Modes,
};
use crate::policy::{CheckedPolicy, Compiled};
use aya::{
    Ebpf,
    programs::{
        ProgramError, SchedClassifier, Xdp, XdpMode,
        links::{FdLink, PinnedLink},
        xdp::{XdpLink, XdpLinkId},
    },
};
use icmp_common::abi::{attach_mode, egress_mode, name};
use std::{io, thread};

/// How to attach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttachMode {
    /// In the driver where it can, else in the stack.
    #[default]
    Auto,
    /// In the driver, or not at all.
    Native,
    /// In the stack.
    Generic,
}

/// How an interface came to be attached.
#[derive(Debug)]
pub struct Attached {
    /// The interface.
    pub interface: Interface,
    /// Whether it is in the driver.
    pub native: bool,
    /// Whether a former process's link was taken up, so that not one packet went unfiltered.
    pub adopted: bool,
    /// How the program for what is sent is attached: one of [`egress_mode`].
    pub egress: u32,
    /// Where it isn't: what was said.
    pub egress_refused: Option<String>,
    /// Where native was tried and refused: what the kernel said.
    pub refused: Option<String>,
    /// What the program itself has to say.
    pub log: Option<KernelLog>,
}

impl Attached {
    fn new(interface: Interface, native: bool, adopted: bool, refused: Option<String>) -> Self {
        let egress = egress_mode::DETACHED;
        Self { interface, native, adopted, egress, egress_refused: None, refused, log: None }
    }
}

/// Attaches to all of these interfaces with this policy, or to none. `surroundings` is what the first
/// packet finds as this machine's addresses.
///
/// Where the instance exists, its maps are taken up: counters go on, and the policy in force stays
/// until every interface is attached.
///
/// # Errors
/// The first that is met; what this call attached is then detached again.
pub fn attach(
    pins: &PinDir,
    interfaces: &[Interface],
    mode: AttachMode,
    policy: &CheckedPolicy,
    surroundings: &Surroundings,
) -> Result<(Maps, Compiled, Vec<Attached>), Error> {
    for interface in interfaces {
        refuse_foreign(pins, interface)?;
    }
    pins.create()?;
    let lock = pins.lock()?;
    let is_new = !pins.exists();
    let before = pins.interfaces();
    let result = attach_all(pins, interfaces, mode, policy, surroundings);
    if result.is_err() {
        // Leave nothing of what this call made.
        for interface in interfaces.iter().filter(|i| !before.contains(&i.name)) {
            remove_links(pins, &interface.name)?;
        }
        if is_new {
            pins.remove()?;
        } else {
            for interface in interfaces.iter().filter(|i| !before.contains(&i.name)) {
                pins.remove_interface(&interface.name)?;
                // Where the maps are another version's, nothing was noted; what is told is why it came to this.
                let _ = note_detached(pins, &interface.name);
            }
        }
    }
    drop(lock);
    result
}

fn attach_all(
    pins: &PinDir,
    interfaces: &[Interface],
    mode: AttachMode,
    policy: &CheckedPolicy,
    surroundings: &Surroundings,
) -> Result<(Maps, Compiled, Vec<Attached>), Error> {
    let (mut maps, ids, mut copies) = copies(pins, interfaces, policy.cell_sets())?;
    maps.set_surroundings(surroundings)?;
    // In a new instance, the policy stands before the first packet meets a program. Where one is in
    // force, it stays until nothing can fail any more but its successor.
    let is_new = maps.policy_info()?.generation == 0;
    let interfaces: Vec<_> = interfaces.iter().zip(ids).collect();
    let prepare = |maps: &mut Maps| if is_new { maps.apply(policy).map(Some) } else { Ok(None) };
    let (compiled, attached) =
        attach_copies(pins, &mut maps, &interfaces, mode, &mut copies, prepare)?;
    let compiled = match compiled {
        Some(compiled) => compiled,
        None => maps.apply(policy)?,
    };
    Ok((maps, compiled, attached))
}

/// What is attached for what is sent: one of [`egress_mode`], or why nothing is.
type Sent = Result<u32, String>;

/// Loads and attaches the copies of these interfaces, of which each has its stable index beside it. `prepare` is
/// called before the first of them is attached.
///
/// The verifier takes longest, and of all it looks at, most is what arrives. So that has a processor to itself, while
/// another one does all else: verifies what is sent, prepares, and attaches that to interfaces that nothing of ours is
/// on, for which the kernel waits until nobody goes the old way. To what a former run left nothing is done before both
/// programs are loaded.
///
/// # Errors
/// The first that is met. What is sent by an interface that nothing was on is free again then.
fn attach_copies<T>(
    pins: &PinDir,
    maps: &mut Maps,
    interfaces: &[(&Interface, u32)],
    mode: AttachMode,
    copies: &mut [Ebpf],
    prepare: impl FnOnce(&mut Maps) -> Result<T, Error>,
) -> Result<(T, Vec<Attached>), Error> {
    let pairs = copies.iter_mut().map(Pair::of).collect::<Result<Vec<_>, _>>()?;
    let (mut arriving, mut sent): (Vec<_>, Vec<_>) =
        pairs.into_iter().map(|pair| (pair.ingress, pair.egress)).unzip();
    let mut early: Vec<Option<Sent>> = vec![None; interfaces.len()];
    let loaded = thread::scope(|scope| {
        let loaded = scope.spawn(|| arriving.iter_mut().try_for_each(|xdp| load_ingress(xdp)));
        sent.iter_mut().try_for_each(|classifier| load_egress(classifier))?;
        let prepared = prepare(maps)?;
        for (((interface, id), classifier), early) in
            interfaces.iter().zip(&mut sent).zip(&mut early)
        {
            if is_bare(pins, maps, interface, *id)? {
                // What was known of its links is of another time, and nobody hears reports yet.
                maps.forget_members(*id)?;
                *early = Some(attach_egress(pins, maps, interface, *id, classifier)?);
            }
        }
        loaded.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(prepared)
    });
    let attached = loaded.and_then(|prepared| {
        let mut attached = Vec::new();
        for ((((interface, id), ingress), egress), early) in
            interfaces.iter().zip(arriving).zip(sent).zip(early.clone())
        {
            let pair = Pair { ingress, egress };
            attached.push(attach_one(pins, maps, interface, *id, mode, pair, early)?);
        }
        Ok((prepared, attached))
    });
    let (prepared, mut attached) = match attached {
        Ok(done) => done,
        Err(error) => {
            for ((interface, id), _) in interfaces.iter().zip(&early).filter(|(_, e)| e.is_some()) {
                // What is told is why it came to this.
                let _ = free_egress(pins, maps, interface, *id);
            }
            return Err(error);
        }
    };
    for (attached, ebpf) in attached.iter_mut().zip(copies) {
        attached.log = KernelLog::of(ebpf);
    }
    Ok((prepared, attached))
}

/// The maps, the stable index of each interface, and a copy for each, whose programs aren't loaded yet.
fn copies(
    pins: &PinDir,
    interfaces: &[Interface],
    cell_sets: u32,
) -> Result<(Maps, Vec<u32>, Vec<Ebpf>), Error> {
    let mut interfaces = interfaces.iter();
    let (mut ids, mut copies) = (Vec::new(), Vec::new());
    // In a new instance the first copy makes the maps that the others share, and its index is the first.
    let first = if pins.exists() { None } else { interfaces.next() };
    if let Some(interface) = first {
        copies.push(for_interface(pins, &interface.name, 0, cell_sets)?);
    }
    let mut maps = Maps::open(pins)?;
    if let Some(interface) = first {
        let id = maps.interface_id(&interface.name)?;
        // It isn't, where somebody was interrupted while he removed the instance before: the map of
        // interfaces may be there still.
        if id != 0 {
            copies = vec![for_interface(pins, &interface.name, id, cell_sets)?];
        }
        ids.push(id);
    }
    for interface in interfaces {
        let id = maps.interface_id(&interface.name)?;
        copies.push(for_interface(pins, &interface.name, id, cell_sets)?);
        ids.push(id);
    }
    Ok((maps, ids, copies))
}

/// Attaches again to an interface that went away and came back. The policy, the counters and the
/// stable index are those that it had.
///
/// # Errors
/// [`Error::NotAttached`] where it has been detached here meanwhile, else as [`attach`].
pub fn reattach(pins: &PinDir, interface: &Interface, mode: AttachMode) -> Result<Attached, Error> {
    pins.require()?;
    let lock = pins.lock()?;
    if !pins.interfaces().contains(&interface.name) {
        return Err(Error::not_attached(pins, &interface.name));
    }
    refuse_foreign(pins, interface)?;
    let mut maps = Maps::open(pins)?;
    let id = maps.interface_id(&interface.name)?;
    let mut copies = [for_interface(pins, &interface.name, id, maps.cell_sets())?];
    let interfaces = [(interface, id)];
    let ((), mut attached) =
        attach_copies(pins, &mut maps, &interfaces, mode, &mut copies, |_| Ok(()))?;
    drop(lock);
    attached.pop().ok_or(Error::Missing { kind: "program", name: name::INGRESS })
}

/// Whether nothing of ours is on an interface, as far as is noted or pinned.
fn is_bare(pins: &PinDir, maps: &Maps, interface: &Interface, id: u32) -> Result<bool, Error> {
    let pinned = [pins.link(&interface.name), pins.egress_link(&interface.name)];
    let is_noted = maps.modes(id)? != Modes::DETACHED;
    Ok(interface.xdp.is_none() && !is_noted && !pinned.iter().any(|path| path.exists()))
}

/// Attaches both programs of an interface, or the one for what arrives where the other is, and notes each in the map of
/// interfaces at once: what comes next may fail, and who then detaches finds what is there.
fn attach_one(
    pins: &PinDir,
    maps: &mut Maps,
    interface: &Interface,
    id: u32,
    mode: AttachMode,
    pair: Pair<'_>,
    early: Option<Sent>,
) -> Result<Attached, Error> {
    let mut attached = attach_ingress(pins, interface, mode, pair.ingress)?;
    let ingress = if attached.native { attach_mode::NATIVE } else { attach_mode::GENERIC };
    if !attached.adopted && early.is_none() {
        maps.forget_members(id)?;
    }
    let before = maps.modes(id)?;
    maps.set_interface(id, &interface.name, interface.index, Modes { ingress, ..before })?;
    let sent = match early {
        Some(sent) => sent,
        None => attach_egress(pins, maps, interface, id, pair.egress)?,
    };
    match sent {
        Ok(egress) => attached.egress = egress,
        Err(said) => attached.egress_refused = Some(said),
    }
    Ok(attached)
}

/// Attaches the program for what is sent, and notes it.
fn attach_egress(
    pins: &PinDir,
    maps: &mut Maps,
    interface: &Interface,
    id: u32,
    program: &mut SchedClassifier,
) -> Result<Sent, Error> {
    let before = maps.modes(id)?;
    match egress::attach(pins, interface, before.egress, program) {
        Ok(egress) => {
            maps.set_interface(id, &interface.name, interface.index, Modes { egress, ..before })?;
            Ok(Ok(egress))
        }
        // A kernel that can't do it filters what arrives all the same.
        Err(error) => {
            maps.note_requests(id, false)?;
            Ok(Err(error.to_string()))
        }
    }
}

/// Takes the program for what is sent off again, and notes that nothing is on the interface.
fn free_egress(
    pins: &PinDir,
    maps: &mut Maps,
    interface: &Interface,
    id: u32,
) -> Result<(), Error> {
    egress::detach(pins, &interface.name, maps.modes(id)?.egress)?;
    maps.set_interface(id, &interface.name, 0, Modes::DETACHED)
}

/// That no program but ours is on the interface, and ours on no other interface of that name:
/// attaching would remove its pin, and with it detach it, wherever it is.
fn refuse_foreign(pins: &PinDir, interface: &Interface) -> Result<(), Error> {
    let alive = attached_index(pins, &interface.name).is_some_and(|index| index != 0);
    match interface.xdp {
        Some(id) if !is_ours(pins, &interface.name, id) => Err(Error::Foreign {
            name: interface.name.clone(),
            program: ForeignXdp::new(id).to_string(),
        }),
        None if alive => {
            let (name, path) = (interface.name.clone(), pins.path().to_owned());
            Err(Error::Elsewhere { name, path })
        }
        _ => Ok(()),
    }
}

fn is_ours(pins: &PinDir, interface: &str, id: u32) -> bool {
    pinned_program_id(pins, interface) == Some(id)
}

/// The number of the program that is pinned for an interface.
pub(super) fn pinned_program_id(pins: &PinDir, interface: &str) -> Option<u32> {
    aya::programs::ProgramInfo::from_pin(pins.program(interface)).ok().map(|info| info.id())
}

/// Attaches the program for what arrives, or puts it in the place of a former one.
fn attach_ingress(
    pins: &PinDir,
    interface: &Interface,
    mode: AttachMode,
    xdp: &mut Xdp,
) -> Result<Attached, Error> {
    let link_pin = pins.link(&interface.name);
    let program_pin = pins.program(&interface.name);

    // A link that is pinned and still on this interface: the program behind it is replaced, which
    // is atomic. One whose interface went away is of no use.
    if interface.xdp.is_some()
        && let Ok(pinned) = PinnedLink::from_pin(&link_pin)
        && let Ok(link) = XdpLink::try_from(FdLink::from(pinned))
        && xdp.attach_to_link(link).is_ok()
    {
        repin(xdp, &program_pin)?;
        let native = interface.xdp_native;
        let interface = interface.clone();
        return Ok(Attached::new(interface, native, true, None));
    }
    remove_file(&link_pin)?;

    let attach = |xdp: &mut Xdp, mode| xdp.attach_to_if_index(interface.index, mode);
    let (id, native, refused) = match mode {
        AttachMode::Generic => (attach(xdp, XdpMode::Skb), false, None),
        AttachMode::Native => (attach(xdp, XdpMode::Driver), true, None),
        AttachMode::Auto => match attach(xdp, XdpMode::Driver) {
            Ok(id) => (Ok(id), true, None),
            // Busy is busy in either mode.
            Err(error) if errno(&error) == Some(libc::EBUSY) => (Err(error), true, None),
            Err(error) => {
                let said = os_error(&error).map_or(error.to_string(), |e| e.to_string());
                (attach(xdp, XdpMode::Skb), false, Some(said))
            }
        },
    };
    let id = id.map_err(|error| attach_error(interface, mode, error))?;
    pin(xdp, id, &link_pin)?;
    repin(xdp, &program_pin)?;
    Ok(Attached::new(interface.clone(), native, false, refused))
}

fn pin(xdp: &mut Xdp, id: XdpLinkId, path: &std::path::Path) -> Result<(), Error> {
    let link = xdp.take_link(id)?;
    FdLink::try_from(link)?.pin(path)?;
    Ok(())
}

fn repin(xdp: &mut Xdp, path: &std::path::Path) -> Result<(), Error> {
    remove_file(path)?;
    Ok(xdp.pin(path)?)
}

/// Frees an interface: its links are detached at once, and the pins removed. That of what is sent
/// may be noted in the map of interfaces only; where the maps are another version's, they say nothing.
fn remove_links(pins: &PinDir, interface: &str) -> Result<(), Error> {
    let known = Maps::open(pins).and_then(|maps| maps.interfaces()).unwrap_or_default();
    let entry = known.into_iter().find(|(_, name, _)| name == interface);
    detach_link(&pins.link(interface));
    remove_file(&pins.link(interface))?;
    egress::detach(pins, interface, entry.map_or(egress_mode::DETACHED, |(.., i)| i.egress))
}

fn os_error(error: &ProgramError) -> Option<io::Error> {
    errno(error).map(io::Error::from_raw_os_error)
}

fn attach_error(interface: &Interface, mode: AttachMode, error: ProgramError) -> Error {
    let name = interface.name.clone();
    match (errno(&error), mode) {
        (Some(libc::EBUSY | libc::EEXIST), _) => {
            Error::Foreign { name, program: "one that was attached just now".to_owned() }
        }
        (Some(libc::EPERM), _) => Error::Privilege { missing: "CAP_NET_ADMIN".to_owned() },
        (Some(code), AttachMode::Native) => {
            Error::NoNative { name, source: io::Error::from_raw_os_error(code) }
        }
        _ => error.into(),
    }
}

/// Detaches an interface and removes what is pinned for it. Its counters are gone then; where it
/// was the last one, so is the whole instance.
///
/// # Errors
/// [`Error::NotAttached`] where it isn't attached here.
pub fn detach(pins: &PinDir, interface: &str) -> Result<(), Error> {
    pins.require()?;
    let lock = pins.lock()?;
    if !pins.interfaces().iter().any(|name| name == interface) {
        return Err(Error::not_attached(pins, interface));
    }
    // The link first: from here on the interface is free, whatever becomes of the rest.
    remove_links(pins, interface)?;
    pins.remove_interface(interface)?;
    if pins.interfaces().is_empty() {
        pins.remove()?;
    } else {
        note_detached(pins, interface)?;
    }
    drop(lock);
    Ok(())
}

/// Notes that nothing is on an interface any more, and forgets who was a member of what there.
fn note_detached(pins: &PinDir, interface: &str) -> Result<(), Error> {
    let mut maps = Maps::open(pins)?;
    let known = maps.interfaces()?;
    if let Some((id, name, _)) = known.into_iter().find(|(_, name, _)| name == interface) {
        maps.set_interface(id, &name, 0, Modes::DETACHED)?;
        maps.forget_members(id)?;
    }
    Ok(())
}

/// Detaches every interface and removes the whole instance, of whichever version it is.
///
/// # Errors
/// Where a pin can't be removed.
pub fn detach_all(pins: &PinDir) -> Result<Vec<String>, Error> {
    pins.require()?;
    let lock = pins.lock()?;
    let interfaces = pins.interfaces();
    for interface in &interfaces {
        remove_links(pins, interface)?;
    }
    pins.remove()?;
    drop(lock);
    Ok(interfaces)
}
