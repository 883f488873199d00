//! What a network costs a container: with and without one, and what others take for it.
//!
//! All of it is in the bench's network namespace (`isolate`), so that bridges and rules go with that.

use super::{About, Context, Outcome};
use crate::bench::{
    command::{Line, line, run},
    interleave::{Regime, Subject},
    peers,
};

const OURS: &str = "hcs run";
const WITH_NETWORK: &str = "hcs run --network nat";

/// A pair of links, one end in a namespace of its own with an address and a route: by one call of `ip`. The namespace
/// ends with the call.
const BY_IP: &str = "unshare --net sh -c 'printf \"link set lo up\\nlink add name va type veth peer name vb\\nlink set va up\\n\
                     link set vb up\\naddr add 10.9.0.2/24 dev vb\\nroute add default via 10.9.0.1\\n\" | ip -batch -'";

/// The plugin of CNI, for a namespace that is there already.
const BY_CNI: &str = r#"
export PATH=/usr/lib/cni:$PATH CNI_PATH=/usr/lib/cni CNI_CONTAINERID=bench CNI_IFNAME=eth0 CNI_NETNS=/run/netns/bench-cni
ip netns add bench-cni || exit
conf='{"cniVersion":"0.4.0","name":"bench","type":"bridge","bridge":"bench-cni0","isGateway":true,"ipMasq":true,
"ipam":{"type":"host-local","dataDir":"/run/bench-cni","subnet":"10.8.0.0/24","routes":[{"dst":"0.0.0.0/0"}]}}'
echo "$conf" | CNI_COMMAND=ADD bridge && echo "$conf" | CNI_COMMAND=DEL bridge
code=$?
ip netns del bench-cni
exit $code
"#;

pub(super) fn networks(context: &mut Context<'_>) -> Outcome {
    let program = context.program.path().to_owned();
    let root = context.bundles.root_text();
    let ours = |name: &'static str, options: &[&str]| {
        let mut command = line(&[&program, "run", "--layer", &root]);
        command.extend(line(options));
        command.extend(line(&["--", "/bin/true"]));
        Subject::new(name, move || run(&command))
    };
    let mut subjects = vec![
        ours(OURS, &["--network", "none"]),
        ours(WITH_NETWORK, &["--network", "nat"]),
        ours("hcs run -p 8080:80", &["-p", "8080:80"]),
        others("a pair of links by ip", BY_IP),
    ];
    match std::fs::exists("/usr/lib/cni/bridge") {
        Ok(true) => subjects.push(others("CNI bridge, added and deleted", BY_CNI)),
        _ => context.report.miss(
            "CNI bridge: /usr/lib/cni/bridge is not there (containernetworking-plugins)".to_owned(),
        ),
    }
    // Held until its commands have run: it has a container that is idle.
    let podman = peers::podman(context.bundles);
    match &podman {
        Ok(podman) => {
            for (name, command) in podman.networked() {
                subjects.push(Subject::peer(name, move || run(&command)));
            }
        }
        Err(reason) => context.report.miss(reason.clone()),
    }
    let about = About {
        name: "networks",
        title: "a whole container for one process, with and without a network".to_owned(),
        base: OURS,
    };
    context.compare(&about, &[(Regime::Hot, 40), (Regime::Spaced, 25)], subjects)?;
    for regime in ["hot", "spaced"] {
        let of = |name| context.report.median("networks", regime, name);
        if let (Some(with), Some(without)) = (of(WITH_NETWORK), of(OURS)) {
            let name = format!("a network for a container, {regime}");
            context.report.add(name, (with - without) / 1e3, "ms");
        }
    }
    Ok(())
}

fn others(name: &'static str, script: &str) -> Subject<'static> {
    let command: Line = line(&["sh", "-c", script]);
    Subject::peer(name, move || run(&command))
}
