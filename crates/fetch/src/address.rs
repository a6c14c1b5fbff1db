//! The addresses that may be connected to.
//!
//! A name in a manifest must not lead into the network of the one who deploys it, nor to the metadata of a machine. The
//! name's addresses are checked where they are resolved for the connection, so a name can't have another address later.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::http::uri::Scheme;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Resolves names, and refuses those that have an address that may not be connected to.
#[derive(Debug, Default)]
pub(crate) struct CheckedResolver(DefaultResolver);

impl Resolver for CheckedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = self.0.resolve(uri, config, timeout)?;
        // Plain HTTP is for the local stack (`RemoteUrl::parse`).
        let allowed = match uri.scheme() == Some(&Scheme::HTTP) {
            true => |address: IpAddr| address.is_loopback(),
            false => is_public,
        };
        match found.iter().find(|found| !allowed(found.ip())) {
            Some(refused) => Err(Error::Other(Box::new(ForbiddenAddress(refused.ip())))),
            None => Ok(found),
        }
    }
}

/// An address that may not be connected to.
#[derive(Debug)]
pub(crate) struct ForbiddenAddress(pub(crate) IpAddr);

impl std::fmt::Display for ForbiddenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the host has the address {}, which is not a public one",
            self.0
        )
    }
}

impl std::error::Error for ForbiddenAddress {}

/// Whether an address is a public one: not in the registries of special-purpose addresses (RFC 6890), which have private,
/// link-local and metadata addresses.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation();
    let special = special
        || match address.octets() {
            // This network; carriers' NAT; protocol assignments; benchmarks; reserved, and broadcast.
            [0, ..] | [240..=255, ..] => true,
            [100, 64..=127, ..] | [198, 18..=19, ..] => true,
            [192, 0, 0, _] => true,
            _ => false,
        };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    match segments {
        // NAT64 and 6to4 lead to the IPv4 address that they contain.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
        }
        // Teredo, protocol assignments and documentation are parts of the global unicast addresses.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, ..] => false,
        // Everything else outside them is special: mapped IPv4, local and link-local addresses, multicast.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_of_networks_and_machines_are_no_public_ones() {
        for address in [
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "127.0.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "192.0.2.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.1.2.3",
            "fe80::1",
            "fd00:ec2::254",
            "fc00::1",
            "ff02::1",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "2001:db8::1",
            "2001:0:1::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "140.82.121.3",
            "1.1.1.1",
            "100.128.0.1",
            "172.32.0.1",
            "2606:50c0:8000::153",
            "2a02:1::1",
            "64:ff9b::8c52:7903",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }
}
