//! The machine's interfaces, as rtnetlink has them: of this process's network namespace, whatever
//! is mounted at /sys.

use super::Error;
use aya::programs::loaded_programs;
use futures_util::TryStreamExt as _;
use icmp_common::share::Speed;
use rtnetlink::packet_route::link::{LinkAttribute, LinkLayerType, LinkXdp, XdpAttached};

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Its link type (ARPHRD, linux/if_arp.h).
    pub link_type: u16,
    /// Whether frames on it begin with an Ethernet header. The loopback's do, too.
    pub ethernet: bool,
    /// Its link-layer address; zeros where it has none of 6 octets.
    pub hardware: [u8; 6],
    /// The longest packet that it sends, in octets.
    pub mtu: u32,
    /// The XDP program that is attached, whoever's.
    pub xdp: Option<u32>,
    /// Whether that program is in the driver.
    pub xdp_native: bool,
}

/// An XDP program that isn't ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignXdp {
    /// Its number.
    pub id: u32,
    /// Its name, where it may be asked for (CAP_SYS_ADMIN).
    pub name: Option<String>,
}

impl std::fmt::Display for ForeignXdp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} (id {})", self.id),
            None => write!(f, "id {}", self.id),
        }
    }
}

impl ForeignXdp {
    /// The program of this number.
    #[must_use]
    pub fn new(id: u32) -> Self {
        let name = loaded_programs()
            .filter_map(Result::ok)
            .find(|info| info.id() == id)
            .and_then(|info| info.name_as_str().map(str::to_owned))
            .filter(|name| !name.is_empty());
        Self { id, name }
    }
}

/// Every interface of this network namespace.
///
/// # Errors
/// Where the kernel can't be asked.
pub async fn interfaces() -> Result<Vec<Interface>, Error> {
    let (connection, handle, _) =
        rtnetlink::new_connection().map_err(Error::io("opening a netlink socket"))?;
    let task = tokio::spawn(connection);
    let mut found = Vec::new();
    let mut links = handle.link().get().execute();
    while let Some(link) = links.try_next().await? {
        let mut interface = Interface {
            name: String::new(),
            index: link.header.index,
            link_type: link.header.link_layer_type.into(),
            ethernet: matches!(
                link.header.link_layer_type,
                LinkLayerType::Ether | LinkLayerType::Loopback
            ),
            hardware: [0; 6],
            mtu: 0,
            xdp: None,
            xdp_native: false,
        };
        for attribute in link.attributes {
            match attribute {
                LinkAttribute::IfName(name) => interface.name = name,
                LinkAttribute::Address(address) => {
                    interface.hardware = address.try_into().unwrap_or_default();
                }
                LinkAttribute::Mtu(mtu) => interface.mtu = mtu,
                LinkAttribute::Xdp(xdp) => {
                    interface.xdp_native =
                        xdp.iter().any(|x| matches!(x, LinkXdp::Attached(XdpAttached::Driver)));
                    interface.xdp = xdp.iter().find_map(|x| match x {
                        LinkXdp::ProgId(id) if *id != 0 => Some(*id),
                        _ => None,
                    });
                }
                _ => {}
            }
        }
        found.push(interface);
    }
    task.abort();
    Ok(found)
}

/// The name that the interface of this index has in this network namespace, if it is in it.
#[must_use]
pub fn name_of(index: u32) -> Option<String> {
    nix::net::if_::if_indextoname(index).ok()?.into_string().ok()
}

impl Interface {
    /// The interface of this name, if it can be attached to.
    ///
    /// # Errors
    /// [`Error::NoInterface`], [`Error::NotEthernet`].
    pub async fn find(name: &str) -> Result<Self, Error> {
        let no = || Error::NoInterface { name: name.to_owned() };
        let found = interfaces().await?.into_iter().find(|i| i.name == name).ok_or_else(no)?;
        if !found.ethernet {
            return Err(Error::NotEthernet { name: found.name, link_type: found.link_type });
        }
        Ok(found)
    }

    /// Whether the driver takes VLAN tags off before the hook sees a frame (ethtool's
    /// `rx-vlan-offload`): then the hook doesn't know the VLAN. `None` where it doesn't say.
    #[must_use]
    pub fn strips_vlan_tags(&self) -> Option<bool> {
        // ETHTOOL_GFLAGS and ETH_FLAG_RXVLAN, linux/ethtool.h.
        const ETHTOOL_GFLAGS: u32 = 0x25;
        const ETH_FLAG_RXVLAN: u32 = 1 << 8;
        let mut value: [u32; 2] = [ETHTOOL_GFLAGS, 0];
        self.ethtool(&mut value)?;
        Some(value[1] & ETH_FLAG_RXVLAN != 0)
    }

    /// Its speed, as its driver has it: what `ethtool` shows, and /sys/class/net in the network
    /// namespace that /sys is of. Not known where the driver doesn't say, as of a virtual machine's,
    /// and of a link that is down.
    #[must_use]
    pub fn speed(&self) -> Speed {
        self.link_settings().map_or(Speed::UNKNOWN, |settings| match settings {
            u32::MAX => Speed::UNKNOWN,
            mbit => Speed(mbit),
        })
    }

    /// The field `speed` of `struct ethtool_link_settings` (linux/ethtool.h).
    fn link_settings(&self) -> Option<u32> {
        const ETHTOOL_GLINKSETTINGS: u32 = 0x4c;
        // The structure in words, and behind it three masks of at most so many.
        const MOST_MASK_WORDS: usize = 127;
        const SPEED: usize = 1;
        // Where its last octet is the field `link_mode_masks_nwords`.
        const MASK_WORDS: usize = 3;
        let mut settings = [0; 12 + 3 * MOST_MASK_WORDS];
        settings[0] = ETHTOOL_GLINKSETTINGS;
        // Asked with no masks, the kernel says how many words they have, as a negative number.
        self.ethtool(&mut settings)?;
        let [.., words] = settings[MASK_WORDS].to_ne_bytes();
        let words = words.cast_signed().checked_neg()?;
        settings = [0; 12 + 3 * MOST_MASK_WORDS];
        settings[0] = ETHTOOL_GLINKSETTINGS;
        settings[MASK_WORDS] = u32::from_ne_bytes([0, 0, 0, words.cast_unsigned()]);
        self.ethtool(&mut settings)?;
        Some(settings[SPEED])
    }

    /// Asks the driver by a structure of ethtool's, which begins with the command and is large enough
    /// for what the kernel writes. `None` where it refuses.
    fn ethtool<const N: usize>(&self, value: &mut [u32; N]) -> Option<()> {
        let socket = nix::sys::socket::socket(
            nix::sys::socket::AddressFamily::Inet,
            nix::sys::socket::SockType::Datagram,
            nix::sys::socket::SockFlag::SOCK_CLOEXEC,
            None,
        )
        .ok()?;
        // SAFETY: all zeros is a valid ifreq.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(self.name.bytes().take(15)) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
        // SAFETY: the request names a structure that lives through the call.
        let result = unsafe {
            libc::ioctl(
                std::os::fd::AsRawFd::as_raw_fd(&socket),
                libc::SIOCETHTOOL,
                &raw mut request,
            )
        };
        (result == 0).then_some(())
    }
}
