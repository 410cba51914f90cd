//! Hearing what arrives at an interface, whoever it is for.

use crate::netns::Namespace;
use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    time::{Duration, Instant},
};

/// What may wait to be read, in octets.
static ROOM: libc::c_int = 16 << 20;
/// packet(7); the crate libc lacks it.
const PACKET_STATISTICS: libc::c_int = 6;

/// A socket that hears the frames of one EtherType that arrive at an interface, not those that
/// leave.
#[derive(Debug)]
pub struct Tap {
    socket: OwnedFd,
}

impl Tap {
    /// Hears what arrives from now on.
    #[must_use]
    pub fn new(namespace: &Namespace, interface: &str, ether_type: u16) -> Self {
        let index = namespace.index(interface);
        namespace.run(|| Self::open(index, ether_type))
    }

    fn open(index: u32, ether_type: u16) -> Self {
        // Without a protocol it hears nothing until it is bound.
        // SAFETY: a system call without pointers.
        let socket =
            unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        assert!(socket >= 0, "a packet socket: {}", io::Error::last_os_error());
        // SAFETY: the kernel has just given this descriptor; all zeros is a valid address.
        let (socket, mut at): (_, libc::sockaddr_ll) =
            unsafe { (OwnedFd::from_raw_fd(socket), std::mem::zeroed()) };
        at.sll_family = libc::AF_PACKET as u16;
        at.sll_protocol = ether_type.to_be();
        at.sll_ifindex = index as i32;
        let fd = socket.as_raw_fd();
        // SAFETY: pointers and lengths are those of values that live through the calls.
        let results = unsafe {
            [
                libc::setsockopt(
                    fd,
                    libc::SOL_SOCKET,
                    libc::SO_RCVBUFFORCE,
                    (&raw const ROOM).cast(),
                    size_of_val(&ROOM) as u32,
                ),
                libc::bind(fd, (&raw const at).cast(), size_of_val(&at) as u32),
            ]
        };
        assert_eq!(results, [0, 0], "a tap: {}", io::Error::last_os_error());
        Self { socket }
    }

    /// The next frame, its first 2,048 octets; `None` where none comes before this moment.
    #[must_use]
    pub fn next(&self, until: Instant) -> Option<Vec<u8>> {
        let fd = self.socket.as_raw_fd();
        let mut frame = vec![0; 2048];
        loop {
            // SAFETY: pointer and length are those of the frame.
            let got = unsafe {
                libc::recv(fd, frame.as_mut_ptr().cast(), frame.len(), libc::MSG_DONTWAIT)
            };
            if let Ok(length) = usize::try_from(got) {
                frame.truncate(length);
                return Some(frame);
            }
            let error = io::Error::last_os_error();
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "hearing: {error}");
            let left = until.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return None;
            }
            let mut ready = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            // SAFETY: one descriptor, which lives through the call. An interruption tries again.
            unsafe { libc::poll(&raw mut ready, 1, left.as_millis() as libc::c_int + 1) };
        }
    }

    /// How many frames found no room since this was last asked.
    #[must_use]
    pub fn lost(&self) -> u32 {
        // SAFETY: all zeros is a valid value.
        let mut stats: libc::tpacket_stats = unsafe { std::mem::zeroed() };
        let mut length = size_of_val(&stats) as u32;
        // SAFETY: pointers and length are those of values that live through the call.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                PACKET_STATISTICS,
                (&raw mut stats).cast(),
                &raw mut length,
            )
        };
        assert_eq!(result, 0, "what was lost: {}", io::Error::last_os_error());
        stats.tp_drops
    }
}
