//! Interfaces that have another name by now than the one under which they are pinned. A link
//! follows its interface through any change of name; what is pinned for it, and its entry in the
//! map of interfaces, are by name and have to be moved.

use super::{Error, Interface, Maps, PinDir, attach::pinned_program_id, attached_index};

/// An interface that has another name by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// The name that it is pinned under.
    pub old: String,
    /// The name that it has.
    pub new: String,
    /// Its index.
    pub index: u32,
}

/// The interfaces among these, which are those of this network namespace, that have another name
/// by now than they are pinned under.
///
/// An index alone says little: in another namespace another interface has it. The number of the
/// program that is attached is the kernel's, so where both agree it is the one.
#[must_use]
pub fn renamed(pins: &PinDir, present: &[Interface]) -> Vec<Renamed> {
    let of = |old: String| {
        let index = attached_index(pins, &old).filter(|index| *index != 0)?;
        let program = pinned_program_id(pins, &old)?;
        let is = |i: &&Interface| i.index == index && i.xdp == Some(program) && i.name != old;
        let new = present.iter().find(is)?.name.clone();
        Some(Renamed { old, new, index })
    };
    pins.interfaces().into_iter().filter_map(of).collect()
}

/// Moves what is pinned for the interface to the name that it has, and its entry in the map of
/// interfaces, so that its counters and its stable index stay. The policy in force isn't touched:
/// its rules hold for the index, whatever the name.
///
/// # Errors
/// [`Error::NotAttached`] where it isn't pinned under the old name any more, [`Error::NameTaken`]
/// where something is pinned under the new one, which stays.
pub fn follow(pins: &PinDir, renamed: &Renamed) -> Result<(), Error> {
    let Renamed { old, new, index } = renamed;
    pins.require()?;
    let lock = pins.lock()?;
    let pinned = pins.interfaces();
    // Another may have detached it, and attached to an interface that has the old name now.
    if !pinned.contains(old) || attached_index(pins, old) != Some(*index) {
        return Err(Error::not_attached(pins, old));
    }
    if pinned.contains(new) {
        let (old, new) = (old.clone(), new.clone());
        return Err(Error::NameTaken { old, new, path: pins.path().to_owned() });
    }
    // The map first: where the folder then can't be moved, the next attempt finds it done.
    Maps::open(pins)?.rename_interface(old, new)?;
    pins.rename_interface(old, new)?;
    drop(lock);
    Ok(())
}
