//! The addresses of a network that receivers may be at.

use std::net::{IpAddr, SocketAddr};

/// What a receiver of the page is refused with that has no other address.
pub(super) const REFUSED: &str = "its address is link-local or of the metadata of a cloud, where credentials are: such a \
                                  receiver must be in the configuration file";

/// Addresses at which Alibaba Cloud, Oracle Cloud and Azure serve metadata, besides 169.254.169.254.
const METADATA: [[u8; 4]; 3] = [[100, 100, 100, 200], [192, 0, 0, 192], [168, 63, 129, 16]];

/// Whether a person at the page may have the service connect to an address: link-local ones are left out. Clouds hand out
/// credentials at 169.254.169.254.
pub(super) fn is_allowed(address: &SocketAddr) -> bool {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            let is_local = ip.is_link_local() || ip.is_unspecified() || ip.is_multicast();
            !is_local && !METADATA.contains(&ip.octets())
        }
        IpAddr::V6(ip) => {
            let is_aws = ip.segments()[..3] == [0xfd00, 0xec2, 0];
            !ip.is_unicast_link_local() && !ip.is_unspecified() && !ip.is_multicast() && !is_aws
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_at_the_page_reaches_no_credentials_of_the_cloud() {
        let check = |address: &str, expected: bool| {
            assert_eq!(is_allowed(&address.parse().unwrap()), expected, "{address}");
        };
        check("10.0.0.1:80", true);
        check("127.0.0.1:80", true);
        check("[2001:db8::1]:80", true);
        check("169.254.169.254:80", false);
        check("[::ffff:169.254.169.254]:80", false);
        check("100.100.100.200:80", false);
        check("[::ffff:192.0.0.192]:80", false);
        check("[fe80::1]:80", false);
        check("[fd00:ec2::254]:80", false);
        check("0.0.0.0:80", false);
    }
}
