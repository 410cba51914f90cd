//! The program for what is sent: attached by a link of its own (TCX) or, before Linux 6.6, as a
//! filter of the queueing discipline `clsact`.
//!
//! Either way it is one of several that may stand there; it comes last, and what it lets through
//! goes on. A filter has no pin: it stays until it is taken off, and it is found again by its place.

use super::{
    Error, Interface, PinDir,
    error::errno,
    link::{detach_link, remove_file},
};
use aya::programs::{
    LinkOrder, ProgramError, SchedClassifier, TcAttachType,
    links::{FdLink, Link as _, PinnedLink},
    tc::{self, NlOptions, SchedClassifierLink, SchedClassifierLinkId, TcAttachOptions, TcHandle},
};
use futures_util::TryStreamExt as _;
use icmp_common::abi::egress_mode;
use std::path::Path;

/// Where our filter stands among those of `clsact`: behind those that somebody gave a number, before
/// those that the kernel numbers itself (49,152 and down).
const PRIORITY: u16 = 40_000;
/// Likewise, among those of that priority.
const HANDLE: TcHandle = TcHandle::new(0, 1);

/// Attaches to an interface, or puts the program in the place of the former one, and returns one of
/// [`egress_mode`]. `before` is how it was attached as far as was noted.
pub(super) fn attach(
    pins: &PinDir,
    interface: &Interface,
    before: u32,
    program: &mut SchedClassifier,
) -> Result<u32, Error> {
    let pin = pins.egress_link(&interface.name);
    if let Ok(pinned) = PinnedLink::from_pin(&pin)
        && let Ok(link) = SchedClassifierLink::try_from(FdLink::from(pinned))
        && program.attach_to_link(link).is_ok()
    {
        return Ok(egress_mode::TCX);
    }
    remove_file(&pin)?;
    let options = TcAttachOptions::TcxOrder(LinkOrder::default());
    match program.attach_with_options(&interface.name, TcAttachType::Egress, options) {
        Ok(id) => {
            self::pin(program, id, &pin)?;
            Ok(egress_mode::TCX)
        }
        // What a kernel says that doesn't know the kind of link.
        Err(error) if errno(&error) == Some(libc::EINVAL) => {
            attach_filter(program, interface, before)
        }
        Err(error) => Err(error.into()),
    }
}

fn pin(program: &mut SchedClassifier, id: SchedClassifierLinkId, path: &Path) -> Result<(), Error> {
    FdLink::try_from(program.take_link(id)?)?.pin(path)?;
    Ok(())
}

fn attach_filter(
    program: &mut SchedClassifier,
    interface: &Interface,
    before: u32,
) -> Result<u32, Error> {
    let name = &interface.name;
    let made = match tc::qdisc_add_clsact(name).map_err(ProgramError::from) {
        Ok(()) => true,
        Err(error) if errno(&error) == Some(libc::EEXIST) => before == egress_mode::CLSACT_MADE,
        Err(error) => return Err(error.into()),
    };
    let options = NlOptions { priority: PRIORITY, handle: HANDLE, classid: None };
    let options = TcAttachOptions::Netlink(options);
    let id = match program.attach_with_options(name, TcAttachType::Egress, options) {
        // A former run's: the program behind it is replaced, which is atomic.
        Err(error) if errno(&error) == Some(libc::EEXIST) && is_filter(before) => {
            program.attach_to_link(filter(name)?)?
        }
        id => id?,
    };
    // Dropped, it would be taken off.
    std::mem::forget(program.take_link(id)?);
    Ok(if made { egress_mode::CLSACT_MADE } else { egress_mode::CLSACT })
}

fn is_filter(mode: u32) -> bool {
    matches!(mode, egress_mode::CLSACT | egress_mode::CLSACT_MADE)
}

/// Our filter of an interface.
fn filter(interface: &str) -> Result<SchedClassifierLink, Error> {
    SchedClassifierLink::attached(interface, TcAttachType::Egress, PRIORITY, HANDLE, None)
        .map_err(Error::io(format!("looking for {interface}")))
}

/// Takes the program off. `mode` is one of [`egress_mode`]; an interface that went away has nothing
/// to be taken off.
pub(super) fn detach(pins: &PinDir, interface: &str, mode: u32) -> Result<(), Error> {
    let pin = pins.egress_link(interface);
    detach_link(&pin);
    remove_file(&pin)?;
    if !is_filter(mode) {
        return Ok(());
    }
    let Ok(link) = filter(interface) else { return Ok(()) };
    // Whoever took it off before has done what was asked.
    let _ = link.detach();
    if mode == egress_mode::CLSACT_MADE {
        remove_qdisc(interface)?;
    }
    Ok(())
}

/// Removes a `clsact` that was made here, unless others have put filters there.
fn remove_qdisc(interface: &str) -> Result<(), Error> {
    let index = match nix::net::if_::if_nametoindex(interface) {
        Ok(index) => index as i32,
        Err(_) => return Ok(()),
    };
    // The caller may be within a runtime, where another can't be waited for on the same thread.
    let work = move || -> Result<(), Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Error::io("starting a runtime"))?;
        runtime.block_on(async {
            let (connection, handle, _) =
                rtnetlink::new_connection().map_err(Error::io("opening a netlink socket"))?;
            let task = tokio::spawn(connection);
            let filters = || handle.traffic_filter(index);
            let arriving = filters().get().ingress().execute().try_next().await?;
            let sent = filters().get().egress().execute().try_next().await?;
            if arriving.is_none() && sent.is_none() {
                let mut request = handle.qdisc().del(index);
                let message = request.message_mut();
                message.header.parent = rtnetlink::packet_route::tc::TcHandle::CLSACT;
                request.execute().await?;
            }
            task.abort();
            Ok(())
        })
    };
    let done = std::thread::spawn(work).join();
    done.unwrap_or_else(|_| Err(Error::io("removing clsact")(std::io::Error::other("it panicked"))))
}
