//! Two network namespaces with a cable between them, and doing things inside of one.
//!
//! The namespaces have no name: file descriptors hold them, so that nothing is left of them
//! however this process ends, and no two tests meet. `ip netns exec` would mount /sys anew and so
//! hide /sys/fs/bpf; here a thread, or a process that is being started, changes only its network.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read},
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The interface of the namespace that is protected.
pub const HOST_IF: &str = "gate0";
/// The interface of its neighbour.
pub const PEER_IF: &str = "peer0";
/// The protected address.
pub const HOST4: &str = "10.77.0.1";
/// The neighbour's.
pub const PEER4: &str = "10.77.0.2";
/// The protected address.
pub const HOST6: &str = "fd77::1";
/// The neighbour's.
pub const PEER6: &str = "fd77::2";

/// How long a tool may take where nothing else is said.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A network namespace, which lives as long as this does.
#[derive(Debug)]
pub struct Namespace {
    file: File,
}

impl Namespace {
    /// A new one, whose loopback is up.
    #[must_use]
    pub fn new() -> Self {
        let made = thread::spawn(|| {
            // SAFETY: a system call without pointers; it changes this thread only.
            let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
            assert_eq!(result, 0, "a new namespace: {}", io::Error::last_os_error());
            File::open("/proc/thread-self/ns/net").expect("the namespace of this thread")
        });
        let namespace = Self { file: made.join().expect("a new namespace") };
        namespace.ip("link set lo up");
        namespace
    }

    /// Its path, for other processes while this one lives.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// A command whose network is this one, and which dies with the thread that starts it.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).env("LC_ALL", "C");
        let file = self.file.as_raw_fd();
        let enter = move || {
            // SAFETY: system calls without pointers, on a descriptor that the caller keeps open.
            let results = unsafe {
                [
                    libc::setns(file, libc::CLONE_NEWNET),
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL),
                ]
            };
            if results == [0, 0] { Ok(()) } else { Err(io::Error::last_os_error()) }
        };
        // SAFETY: between fork and exec there are system calls only.
        unsafe { command.pre_exec(enter) };
        command
    }

    /// A command by its words, separated by spaces.
    #[must_use]
    pub fn words(&self, words: &str) -> Command {
        let mut words = words.split(' ');
        let mut command = self.command(words.next().expect("a program"));
        command.args(words);
        command
    }

    /// Runs a tool to its end, which must be a good one, and returns what it printed.
    pub fn tool(&self, words: &str) -> String {
        let output = finish(&mut self.words(words), PATIENCE);
        let text = [&output.stdout[..], &output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(output.status.success(), "`{words}`: {}: {text}", output.status);
        text
    }

    /// Runs `ip` with these words.
    pub fn ip(&self, words: &str) -> String {
        self.tool(&format!("ip {words}"))
    }

    /// The hardware address of an interface, with colons.
    #[must_use]
    pub fn hardware(&self, interface: &str) -> String {
        let text = self.ip(&format!("-json link show dev {interface}"));
        let links: serde_json::Value = serde_json::from_str(&text).expect("JSON of ip");
        links[0]["address"].as_str().expect("an address").to_owned()
    }

    /// Sets a value below /proc/sys/net.
    pub fn sysctl(&self, name: &str, value: &str) {
        let path = format!("/proc/sys/net/{name}");
        self.run(|| fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}")));
    }

    /// Switches Linux's own limits of errors off, which come before those of any program.
    pub fn send_all_errors(&self) {
        self.sysctl("ipv4/icmp_ratelimit", "0");
        self.sysctl("ipv4/icmp_msgs_per_sec", "1000000");
        self.sysctl("ipv4/icmp_msgs_burst", "1000000");
        self.sysctl("ipv6/icmp/ratelimit", "0");
    }

    /// Puts a cable between this one and another, both ends up.
    pub fn join(&self, other: &Self, near: &str, far: &str) {
        self.ip(&format!("link add {near} type veth peer name {far} netns {}", other.path()));
        self.ip(&format!("link set {near} up"));
        other.ip(&format!("link set {far} up"));
    }

    /// Calls this in a thread whose network is this one. Sockets that it returns stay in it;
    /// processes that it starts by [`Namespace::command`] die with it.
    pub fn run<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                // SAFETY: a system call without pointers; it changes this thread only.
                let result = unsafe { libc::setns(self.file.as_raw_fd(), libc::CLONE_NEWNET) };
                assert_eq!(result, 0, "entering a namespace: {}", io::Error::last_os_error());
                what()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// The number of an interface.
    #[must_use]
    pub fn index(&self, interface: &str) -> u32 {
        let name = std::ffi::CString::new(interface).expect("a name");
        // SAFETY: the name ends with a zero and lives through the call.
        let index = self.run(|| unsafe { libc::if_nametoindex(name.as_ptr()) });
        assert!(index != 0, "no interface {interface}");
        index
    }

    /// A socket that sends whole frames on an interface.
    #[must_use]
    pub fn wire(&self, interface: &str) -> Wire {
        let index = self.index(interface);
        self.run(|| Wire::open(index))
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs a command to its end, for at most this long, and returns what it printed.
pub fn finish(command: &mut Command, most: Duration) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    finish_as(command, most)
}

/// As [`finish`], with the command's own idea of where its output goes.
pub fn finish_as(command: &mut Command, most: Duration) -> Output {
    let mut child = command.spawn().unwrap_or_else(|error| {
        panic!("{command:?}: {error}; `cargo xtask setup` installs what tests need")
    });
    let stdout = child.stdout.take().map(collect);
    let stderr = child.stderr.take().map(collect);
    let status = wait(&mut child, most);
    let text = |from: Option<thread::JoinHandle<Vec<u8>>>| {
        from.map(|from| from.join().expect("a reader doesn't panic")).unwrap_or_default()
    };
    let (stdout, stderr) = (text(stdout), text(stderr));
    let Some(status) = status else {
        let said = String::from_utf8_lossy(&stderr);
        panic!("{command:?} took more than {} s: {said}", most.as_secs());
    };
    Output { status, stdout, stderr }
}

/// Waits for a process for at most this long; `None` where it had to be killed.
pub fn wait(child: &mut Child, most: Duration) -> Option<std::process::ExitStatus> {
    let until = Instant::now() + most;
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return Some(status);
        }
        if Instant::now() >= until {
            child.kill().expect("a child can be killed");
            child.wait().expect("a child can be waited for");
            return None;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn collect(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut octets = Vec::new();
        let _ = from.read_to_end(&mut octets);
        octets
    })
}

/// Asks until it is so, for at most this long; whether it came to be.
#[must_use]
pub fn eventually(most: Duration, mut is: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + most;
    loop {
        if is() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Two namespaces and the cable between them.
#[derive(Debug)]
pub struct Pair {
    /// The one that is protected.
    pub host: Namespace,
    /// Its neighbour, who sends.
    pub peer: Namespace,
}

impl Pair {
    /// Both with addresses, up, and without limits of their own on the errors they send.
    #[must_use]
    pub fn new() -> Self {
        let pair = Self { host: Namespace::new(), peer: Namespace::new() };
        pair.plug();
        for namespace in [&pair.host, &pair.peer] {
            namespace.send_all_errors();
        }
        pair
    }

    /// Puts the cable in, with the addresses on both ends.
    pub fn plug(&self) {
        let (host, peer) = (&self.host, &self.peer);
        let there = peer.path();
        host.ip(&format!("link add {HOST_IF} type veth peer name {PEER_IF} netns {there}"));
        host.ip(&format!("addr add {HOST4}/24 dev {HOST_IF}"));
        host.ip(&format!("addr add {HOST6}/64 dev {HOST_IF} nodad"));
        peer.ip(&format!("addr add {PEER4}/24 dev {PEER_IF}"));
        peer.ip(&format!("addr add {PEER6}/64 dev {PEER_IF} nodad"));
        host.ip(&format!("link set {HOST_IF} up"));
        peer.ip(&format!("link set {PEER_IF} up"));
    }

    /// Pulls the cable out: both interfaces are gone.
    pub fn unplug(&self) {
        self.host.ip(&format!("link del {HOST_IF}"));
    }
}

impl Default for Pair {
    fn default() -> Self {
        Self::new()
    }
}

/// How many frames [`Wire`] gives the kernel at once.
const BATCH: usize = 64;

/// A socket that sends whole frames on an interface.
#[derive(Debug)]
pub struct Wire {
    socket: OwnedFd,
    to: libc::sockaddr_ll,
}

impl Wire {
    fn open(index: u32) -> Self {
        // SAFETY: a system call without pointers.
        let socket =
            unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        assert!(socket >= 0, "a packet socket: {}", io::Error::last_os_error());
        // SAFETY: the kernel has just given this descriptor; all zeros is a valid address.
        let (socket, mut to): (_, libc::sockaddr_ll) =
            unsafe { (OwnedFd::from_raw_fd(socket), std::mem::zeroed()) };
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_ifindex = index as i32;
        Self { socket, to }
    }

    /// Sends these frames, and waits after each batch for as long as keeps the whole to this many
    /// a second: the ring of a veth holds 256, and what overflows it never arrives. Returns when
    /// each batch had been sent.
    pub fn send<F: AsRef<[u8]>>(
        &self,
        frames: impl IntoIterator<Item = F>,
        per_second: u32,
    ) -> Vec<Instant> {
        let mut frames = frames.into_iter();
        let start = Instant::now();
        let (mut sent, mut moments) = (0, Vec::new());
        loop {
            let batch: Vec<F> = frames.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return moments;
            }
            self.send_batch(&batch);
            moments.push(Instant::now());
            sent += batch.len() as u32;
            let due = start + Duration::from_secs(1) * sent / per_second;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// What the kernel says, as where a program drops it on its way out.
    pub fn try_send(&self, frame: &[u8]) -> io::Result<()> {
        let to = (&raw const self.to).cast();
        // SAFETY: pointers and lengths are those of the frame and the address, which live through it.
        let sent = unsafe {
            libc::sendto(
                self.socket.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                0,
                to,
                size_of_val(&self.to) as u32,
            )
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn send_batch<F: AsRef<[u8]>>(&self, frames: &[F]) {
        let mut pieces: Vec<libc::iovec> = frames
            .iter()
            .map(|frame| libc::iovec {
                iov_base: frame.as_ref().as_ptr().cast_mut().cast(),
                iov_len: frame.as_ref().len(),
            })
            .collect();
        let mut messages: Vec<libc::mmsghdr> = pieces
            .iter_mut()
            .map(|piece| {
                // SAFETY: all zeros is a valid header.
                let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
                message.msg_hdr.msg_name = (&raw const self.to).cast_mut().cast();
                message.msg_hdr.msg_namelen = size_of_val(&self.to) as u32;
                message.msg_hdr.msg_iov = piece;
                message.msg_hdr.msg_iovlen = 1;
                message
            })
            .collect();
        let mut left = &mut messages[..];
        while !left.is_empty() {
            // SAFETY: the headers, the pieces and the frames live through the call.
            let sent = unsafe {
                libc::sendmmsg(self.socket.as_raw_fd(), left.as_mut_ptr(), left.len() as u32, 0)
            };
            assert!(sent > 0, "sending frames: {}", io::Error::last_os_error());
            left = &mut left[sent as usize..];
        }
    }
}
