//! What `pasta` is told. It does by default what a container of ours must not have: it leads ports of the container to
//! loopback of the host, and the address of the router to the host.

use hcs_engine::engine::{Outside, OutsidePort};

/// All but the namespace.
pub(super) fn arguments(outside: &Outside) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| all.extend(words.iter().map(|word| (*word).to_owned()));
    add(&["--quiet", "--ipv4-only", "--config-net", "--netns-only"]);
    // No way to the host's loopback: neither by the router's address, nor by ports that lead there. What is sent to
    // 127.0.0.0/8 itself does not leave the container, as the keeper has rules for it.
    add(&["--no-map-gw", "--tcp-ns", "none", "--udp-ns", "none"]);
    // All is set already, so nothing is served.
    add(&["--no-dhcp", "--no-dhcpv6", "--no-ndp", "--no-ra"]);
    let mac = outside.mac.map(|byte| format!("{byte:02x}")).join(":");
    add(&["--ns-ifname", &outside.link, "--ns-mac-addr", &mac]);
    let (length, router) = (outside.length.to_string(), outside.router.to_string());
    add(&["--address", &outside.address.to_string()]);
    add(&["--netmask", &length, "--gateway", &router]);
    if let Some(mtu) = outside.mtu {
        add(&["--mtu", &mtu.to_string()]);
    }
    for (option, is_udp) in [("--tcp-ports", false), ("--udp-ports", true)] {
        let ports = outside.ports.iter().filter(|port| port.is_udp == is_udp);
        let specifications: Vec<String> = ports.map(specification).collect();
        if specifications.is_empty() {
            add(&[option, "none"]);
        }
        for one in specifications {
            add(&[option, &one]);
        }
    }
    all
}

fn specification(port: &OutsidePort) -> String {
    let ports = format!("{}:{}", port.external, port.internal);
    match port.address {
        None => ports,
        Some(address) => format!("{address}/{ports}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_to_loopback_of_the_host_and_ports_only_where_it_was_asked_for() {
        let mut outside = Outside {
            link: "eth0".to_owned(),
            mac: [2, 0, 0, 0, 0, 10],
            address: [172, 20, 0, 2].into(),
            length: 24,
            router: [172, 20, 0, 1].into(),
            mtu: None,
            ports: Vec::new(),
        };
        let line = |outside: &Outside| format!(" {} ", arguments(outside).join(" "));
        let none = line(&outside);
        for said in [
            " --no-map-gw ",
            " --tcp-ns none ",
            " --udp-ns none ",
            " --tcp-ports none ",
            " --udp-ports none ",
            " --ns-mac-addr 02:00:00:00:00:0a ",
            " --address 172.20.0.2 --netmask 24 --gateway 172.20.0.1 ",
        ] {
            assert!(none.contains(said), "{said} of {none}");
        }
        let port = |is_udp, address, external| OutsidePort {
            is_udp,
            address,
            external,
            internal: 80,
        };
        let here = Some([127, 0, 0, 1].into());
        outside.ports = vec![port(false, None, 8080), port(false, here, 8081)];
        let both = line(&outside);
        assert!(both.contains(" --tcp-ports 8080:80 --tcp-ports 127.0.0.1/8081:80 "));
        assert!(both.contains(" --udp-ports none ") && !both.contains("--tcp-ports none"));
    }
}
