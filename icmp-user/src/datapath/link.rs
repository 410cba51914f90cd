//! What a pinned link is attached to. Asking the link and not the interface holds in every network
//! namespace and under whatever name the interface has now; aya doesn't tell this part of it.

use super::{Error, PinDir};
use std::{
    ffi::CString,
    fs, io,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

// Commands of bpf(2) and a link type, linux/bpf.h.
const BPF_OBJ_GET: libc::c_long = 7;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const BPF_LINK_DETACH: libc::c_long = 34;
const BPF_LINK_TYPE_XDP: u32 = 6;

/// The index of the interface that the link of `interface` is attached to; 0 where that interface
/// went away. `None` where no link is pinned.
#[must_use]
pub fn attached_index(pins: &PinDir, interface: &str) -> Option<u32> {
    let fd = open(&pins.link(interface))?;

    /// The beginning of `struct bpf_link_info`, for an XDP link.
    #[repr(C, align(8))]
    #[derive(Default)]
    struct LinkInfo {
        kind: u32,
        id: u32,
        program: u32,
        pad: u32,
        ifindex: u32,
        more: u32,
    }
    #[repr(C, align(8))]
    struct InfoByFd {
        fd: u32,
        length: u32,
        info: u64,
    }
    let mut info = LinkInfo::default();
    let mut ask = InfoByFd {
        fd: fd.as_raw_fd() as u32,
        length: size_of::<LinkInfo>() as u32,
        info: &raw mut info as u64,
    };
    // SAFETY: the attributes are of the form and length that the command takes, and the kernel writes
    // no more than `length` octets to `info`.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut ask) }?;
    (info.kind == BPF_LINK_TYPE_XDP).then_some(info.ifindex)
}

/// Takes the program of a pinned link off its interface, at once. Only removing the pin would do it,
/// too, but some time later: the kernel frees a link that nobody holds when it comes to it.
pub(super) fn detach_link(pin: &Path) {
    #[repr(C, align(8))]
    struct LinkDetach {
        link: u32,
        pad: u32,
    }
    if let Some(fd) = open(pin) {
        let mut detach = LinkDetach { link: fd.as_raw_fd() as u32, pad: 0 };
        // SAFETY: the attributes are of the form and length that the command takes. Where it fails,
        // the interface is gone, or the removal of the pin does it.
        let _ = unsafe { bpf(BPF_LINK_DETACH, &mut detach) };
    }
}

/// Removes a pin, which need not be there.
pub(super) fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(format!("removing {}", path.display()))(error))
        }
        _ => Ok(()),
    }
}

/// A pinned link.
fn open(pin: &Path) -> Option<OwnedFd> {
    #[repr(C, align(8))]
    struct ObjGet {
        path: u64,
        fd: u32,
        flags: u32,
    }
    let path = CString::new(pin.as_os_str().as_bytes()).ok()?;
    let mut get = ObjGet { path: path.as_ptr() as u64, fd: 0, flags: 0 };
    // SAFETY: the attributes are of the form and length that the command takes, and the path lives
    // through the call.
    let fd = unsafe { bpf(BPF_OBJ_GET, &mut get) }?;
    // SAFETY: the kernel has just given this descriptor, and nothing else has it.
    Some(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// # Safety
/// The attributes must be those of the command, which may write to them, and what they point to valid for it.
pub(super) unsafe fn bpf<T>(command: libc::c_long, attributes: &mut T) -> Option<libc::c_long> {
    let pointer = std::ptr::from_mut(attributes);
    // SAFETY: as the caller promises.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, pointer, size_of::<T>()) };
    (result >= 0).then_some(result)
}
