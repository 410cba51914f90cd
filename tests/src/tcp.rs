//! What only the kernel knows of a connection, and connections whose other end says nothing more.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    os::fd::{AsRawFd, RawFd},
};

// linux/tcp.h.
const TCP_REPAIR_ON: i32 = 1;
const TCP_REPAIR_OFF_NO_WP: i32 = -1;
const TCP_SEND_QUEUE: i32 = 2;

/// Both ends of a connection from one address to another of this network namespace: who asked for it, then who
/// listened.
#[must_use]
pub fn connection(from: impl ToSocketAddrs, to: impl ToSocketAddrs) -> [TcpStream; 2] {
    let listener = TcpListener::bind(to).expect("an address to listen on");
    let near = connect(from, &listener);
    let (far, _) = listener.accept().expect("a connection");
    [near, far]
}

/// A connection from an address to who listens, who needn't have taken it up.
#[must_use]
pub fn connect(from: impl ToSocketAddrs, to: &TcpListener) -> TcpStream {
    let stream = bound(from);
    let to = to.local_addr().expect("it is bound");
    call(&stream, to, libc::connect).unwrap_or_else(|error| panic!("{to}: {error}"));
    stream
}

/// A connection that is asked for and goes on being so while nobody answers.
#[must_use]
pub fn connecting(from: impl ToSocketAddrs, to: impl ToSocketAddrs) -> TcpStream {
    let stream = bound(from);
    stream.set_nonblocking(true).expect("it needn't wait");
    let asked = call(&stream, one(to), libc::connect).expect_err("nobody answers");
    assert_eq!(asked.raw_os_error(), Some(libc::EINPROGRESS), "{asked}");
    stream
}

/// A socket that has an address, and is connected to nobody: the standard library binds no client.
fn bound(from: impl ToSocketAddrs) -> TcpStream {
    let from = one(from);
    let family = if from.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: a system call without pointers.
    let fd = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    assert!(fd >= 0, "a socket: {}", io::Error::last_os_error());
    // SAFETY: a descriptor that nobody else has.
    let stream: TcpStream = unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) };
    call(&stream, from, libc::bind).unwrap_or_else(|error| panic!("{from}: {error}"));
    stream
}

fn one(address: impl ToSocketAddrs) -> SocketAddr {
    address.to_socket_addrs().expect("an address").next().expect("an address")
}

/// Calls `bind` or `connect` with an address.
fn call(
    stream: &TcpStream,
    with: SocketAddr,
    what: unsafe extern "C" fn(i32, *const libc::sockaddr, u32) -> i32,
) -> io::Result<()> {
    let (address, length) = raw(with);
    // SAFETY: as many octets as is said.
    let result = unsafe { what(stream.as_raw_fd(), (&raw const address).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn raw(address: SocketAddr) -> (libc::sockaddr_in6, u32) {
    // SAFETY: all zeros is a valid address of either family.
    let mut to: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
    match address {
        SocketAddr::V4(v4) => {
            let four = libc::sockaddr_in {
                sin_family: libc::AF_INET as u16,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*v4.ip()).to_be() },
                sin_zero: [0; 8],
            };
            // SAFETY: the smaller fits into the larger, which is as aligned.
            unsafe { (&raw mut to).cast::<libc::sockaddr_in>().write(four) };
            (to, size_of::<libc::sockaddr_in>() as u32)
        }
        SocketAddr::V6(v6) => {
            to.sin6_family = libc::AF_INET6 as u16;
            to.sin6_port = v6.port().to_be();
            to.sin6_addr.s6_addr = v6.ip().octets();
            (to, size_of::<libc::sockaddr_in6>() as u32)
        }
    }
}

/// The number of the octet that a connection's next write begins with: where nothing waits to be sent, `snd_nxt`.
#[must_use]
pub fn send_next(stream: &TcpStream) -> u32 {
    let fd = stream.as_raw_fd();
    set(fd, libc::IPPROTO_TCP, libc::TCP_REPAIR, TCP_REPAIR_ON);
    set(fd, libc::IPPROTO_TCP, libc::TCP_REPAIR_QUEUE, TCP_SEND_QUEUE);
    let sequence: u32 = get(fd, libc::TCP_QUEUE_SEQ);
    set(fd, libc::IPPROTO_TCP, libc::TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
    sequence
}

/// What the kernel tells of a connection.
#[must_use]
pub fn info(stream: &TcpStream) -> libc::tcp_info {
    get(stream.as_raw_fd(), libc::TCP_INFO)
}

/// Has the end of a connection take no segment any more: what the other sends stays in flight.
pub fn deafen(stream: &TcpStream) {
    let mut none =
        [libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: 0 }];
    let program = libc::sock_fprog { len: 1, filter: none.as_mut_ptr() };
    set(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, program);
}

/// The value of an option of TCP, which has to be one that may be all zeros.
fn get<T: Copy>(fd: RawFd, name: i32) -> T {
    // SAFETY: the callers ask for integers, and structures of these.
    let mut value: T = unsafe { std::mem::zeroed() };
    let mut length = size_of::<T>() as u32;
    let to = (&raw mut value).cast();
    // SAFETY: both pointers are to what lives through the call, of the size that is said.
    let result = unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, name, to, &raw mut length) };
    assert_eq!(result, 0, "option {name}: {}", io::Error::last_os_error());
    value
}

fn set<T>(fd: RawFd, level: i32, name: i32, value: T) {
    // SAFETY: the value lives through the call, and is of the size that is said.
    let result = unsafe {
        libc::setsockopt(fd, level, name, (&raw const value).cast(), size_of::<T>() as u32)
    };
    assert_eq!(result, 0, "option {name}: {}", io::Error::last_os_error());
}
