//! What on a host keeps the packets of networks from passing: found in facts about the host, with the command that
//! mends it.
//!
//! A packet passes a host when all tables of rules let it: one that another program drops is dropped, whatever the
//! rules of the service say. Facts come in as text ([`Facts`]), so this decides without touching the host.

use std::net::Ipv4Addr;

use serde::Serialize;
use serde_json::Value;

/// How the names of bridges and of tables of the service begin.
const BRIDGES: &str = "hcb";
const TABLES: &str = "hcs";

/// What is known of the host.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// What `nft -j list ruleset` prints; `None` where it cannot be run.
    pub(crate) rules: Option<Value>,
    /// What `nft` said when it listed none: that of a user who may not see them, mostly.
    pub(crate) refused: Option<String>,
    /// Whether there are tables of the older kind, which `nft` does not show.
    pub(crate) has_older_tables: bool,
    /// Whether frames on bridges go through rules for packets.
    pub(crate) filters_bridges: bool,
    /// The routes of the main table.
    pub(crate) routes: Vec<Route>,
    /// Interfaces that do not forward.
    pub(crate) not_forwarding: Vec<String>,
    /// Interfaces that drop what comes another way than its answer would go.
    pub(crate) strict: Vec<String>,
    /// Subnets of networks that reach the outside.
    pub(crate) translated: Vec<Subnet>,
    /// Why the service could not make the network nat.
    pub(crate) not_made: Option<String>,
}

/// A prefix of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subnet {
    pub(crate) address: Ipv4Addr,
    pub(crate) length: u32,
}

/// A route, and the interface that it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) interface: String,
    pub(crate) subnet: Subnet,
}

/// Something that is in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Finding {
    /// What it is about: `firewall`, `bridge-nf-call-iptables`, `forwarding`, `rp_filter`, `route`, `kernel`, `unseen`.
    pub(crate) kind: &'static str,
    /// What it does.
    pub(crate) what: String,
    /// The command that mends it, or shows more.
    pub(crate) repair: String,
}

impl Subnet {
    /// Reads `ADDR/BITS`.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        let length = length.parse().ok().filter(|length| *length <= 32)?;
        let address = address.parse().ok()?;
        Some(Self { address, length })
    }

    fn overlaps(self, other: Self) -> bool {
        let shared = self.length.min(other.length);
        let bits = |subnet: Self| u64::from(subnet.address.to_bits()) >> (32 - shared);
        bits(self) == bits(other)
    }
}

impl Route {
    /// Those that the text of `/proc/net/route` has.
    pub(crate) fn read_all(text: &str) -> Vec<Self> {
        let read = |line: &str| {
            let mut words = line.split_whitespace();
            let interface = words.next()?.to_owned();
            let number = |text: &str| u32::from_str_radix(text, 16).ok();
            let address = number(words.next()?)?;
            let mask = number(words.nth(5)?)?;
            // Numbers as they are in memory.
            let (address, mask) = (Ipv4Addr::from(address.to_ne_bytes()), mask.count_ones());
            Some(Self {
                interface,
                subnet: Subnet {
                    address,
                    length: mask,
                },
            })
        };
        text.lines().skip(1).filter_map(read).collect()
    }

    fn is_ours(&self) -> bool {
        self.interface.starts_with(BRIDGES)
    }

    const fn is_default(&self) -> bool {
        self.subnet.length == 0
    }
}

impl Facts {
    /// The bridges of networks, of which `wanted` is true.
    fn bridges(&self, wanted: impl Fn(&Route) -> bool) -> Vec<&str> {
        let ours = self
            .routes
            .iter()
            .filter(|route| route.is_ours() && wanted(route));
        let mut names: Vec<&str> = ours.map(|route| route.interface.as_str()).collect();
        names.dedup();
        names
    }

    /// The interfaces that lead outside.
    fn uplinks(&self) -> Vec<&str> {
        let defaults = self.routes.iter().filter(|route| route.is_default());
        let mut names: Vec<&str> = defaults.map(|route| route.interface.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// What is in the way.
pub(crate) fn check(facts: &Facts) -> Vec<Finding> {
    let mut found = firewalls(facts);
    if facts.filters_bridges && !found.is_empty() {
        found.push(Finding {
            kind: "bridge-nf-call-iptables",
            what: "what containers of one network send each other goes through these rules, too"
                .to_owned(),
            repair: "sysctl -w net.bridge.bridge-nf-call-iptables=0".to_owned(),
        });
    }
    let is_translated = |route: &Route| facts.translated.contains(&route.subnet);
    let bridges = facts.bridges(is_translated);
    if !bridges.is_empty() {
        let concerned = bridges.iter().copied().chain(facts.uplinks());
        for interface in concerned {
            if facts.not_forwarding.iter().any(|other| other == interface) {
                found.push(Finding {
                    kind: "forwarding",
                    what: format!("the interface {interface} does not forward, so containers do not reach the outside"),
                    repair: sysctl(interface, "forwarding=1"),
                });
            }
        }
    }
    found.extend(reverse_paths(facts));
    found.extend(overlaps(facts));
    found.extend(facts.not_made.as_ref().map(|why| Finding {
        kind: "kernel",
        what: format!("the network nat could not be made: {why}"),
        repair: "modprobe -a bridge veth nf_tables nft_chain_nat nft_masq nf_conntrack_netlink && hcs network create nat"
            .to_owned(),
    }));
    found.extend(unseen(facts));
    found
}

/// The command for a setting of an interface, whose name may have dots.
fn sysctl(interface: &str, setting: &str) -> String {
    format!("sysctl -w net/ipv4/conf/{interface}/{setting}")
}

/// With several ways to the outside, an answer may come by another one than the question took.
fn reverse_paths(facts: &Facts) -> Vec<Finding> {
    let uplinks = facts.uplinks();
    let strict = uplinks
        .iter()
        .filter(|name| facts.strict.iter().any(|other| other == *name));
    if uplinks.len() < 2 {
        return Vec::new();
    }
    let finding = |name: &&str| Finding {
        kind: "rp_filter",
        what: format!(
            "{name} drops what comes by another way than the answer would go, and there are several"
        ),
        repair: sysctl(name, "rp_filter=2"),
    };
    strict.map(finding).collect()
}

/// Routes of other programs that lead where containers are.
fn overlaps(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    for ours in facts.routes.iter().filter(|route| route.is_ours()) {
        let others = facts
            .routes
            .iter()
            .filter(|route| !route.is_ours() && !route.is_default());
        for other in others.filter(|other| other.subnet.overlaps(ours.subnet)) {
            let Subnet { address, length } = other.subnet;
            let (interface, bridge) = (&other.interface, &ours.interface);
            found.push(Finding {
                kind: "route",
                what: format!(
                    "the route to {address}/{length} by {interface} is for addresses of the network whose bridge is {bridge}"
                ),
                repair: format!("ip route del {address}/{length} dev {interface}"),
            });
        }
    }
    found
}

/// What this does not see.
fn unseen(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    if facts.rules.is_none() {
        let (what, repair) = match &facts.refused {
            Some(said) => (
                format!("nft does not tell the rules of this host, which root may see: {said}"),
                "sudo hcs network check",
            ),
            None => (
                "the program nft cannot be run, so the rules of this host are not known".to_owned(),
                "apt-get install nftables",
            ),
        };
        found.push(Finding {
            kind: "unseen",
            what,
            repair: repair.to_owned(),
        });
    }
    if facts.has_older_tables {
        found.push(Finding {
            kind: "unseen",
            what: "there are rules of the older iptables, which are not looked at".to_owned(),
            repair: "iptables-legacy -S FORWARD".to_owned(),
        });
    }
    found
}

/// A chain of rules, by family, table and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chain<'a> {
    family: &'a str,
    table: &'a str,
    name: &'a str,
}

/// Chains of others that drop what is forwarded, unless they let our bridges pass.
fn firewalls(facts: &Facts) -> Vec<Finding> {
    let objects = facts
        .rules
        .as_ref()
        .and_then(|rules| rules["nftables"].as_array());
    let objects = objects.map(Vec::as_slice).unwrap_or_default();
    let bridges = facts.bridges(|_| true);
    let chains = objects.iter().filter_map(|object| object.get("chain"));
    let forwarding = chains.clone().filter(|chain| chain["hook"] == "forward");
    let mut found = Vec::new();
    for properties in forwarding {
        let chain = Chain {
            family: text(properties, "family"),
            table: text(properties, "table"),
            name: text(properties, "name"),
        };
        let is_ours = chain.table.starts_with(TABLES);
        let drops = drops_the_rest(objects, chain, properties["policy"] == "drop");
        if is_ours
            || !drops
            || !matches!(chain.family, "ip" | "inet")
            || lets_pass(objects, chain, &bridges)
        {
            continue;
        }
        let names = chains
            .clone()
            .filter(|other| text(other, "table") == chain.table);
        let names: Vec<&str> = names.map(|other| text(other, "name")).collect();
        found.push(firewall(chain, &names, &bridges));
    }
    found
}

/// How the program is told whose chain it is. `names` are those of the table.
fn firewall(chain: Chain<'_>, names: &[&str], bridges: &[&str]) -> Finding {
    let Chain {
        family,
        table,
        name,
    } = chain;
    let has = |wanted: &str| names.iter().any(|name| name.starts_with(wanted));
    let each = |line: &dyn Fn(&str) -> String| {
        let lines: Vec<String> = match bridges {
            // There are none yet, and the name of the next one is not known.
            [] => vec![line("BRIDGE")],
            bridges => bridges.iter().map(|bridge| line(bridge)).collect(),
        };
        lines.join(" && ")
    };
    let (program, repair) = if table == "firewalld" {
        let line = |bridge: &str| format!("firewall-cmd --zone=trusted --add-interface={bridge}");
        ("firewalld", each(&line))
    } else if has("DOCKER-USER") {
        let line = "iptables -I DOCKER-USER -i hcb+ -j ACCEPT && iptables -I DOCKER-USER -o hcb+ -j ACCEPT";
        ("docker", line.to_owned())
    } else if has("ufw-") {
        let line = |bridge: &str| {
            format!("ufw route allow in on {bridge} && ufw route allow out on {bridge}")
        };
        ("ufw", each(&line))
    } else {
        let line =
            |key: &str| format!("nft insert rule {family} {table} {name} {key} 'hcb*' accept");
        (
            "a firewall",
            format!("{} && {}", line("iifname"), line("oifname")),
        )
    };
    Finding {
        kind: "firewall",
        what: format!(
            "{program} drops what is forwarded: the chain {name} of the table {family} {table}"
        ),
        repair,
    }
}

fn rules_of<'a>(objects: &'a [Value], chain: Chain<'a>) -> impl Iterator<Item = &'a [Value]> {
    let rules = objects.iter().filter_map(|object| object.get("rule"));
    let here = rules.filter(move |rule| {
        let (family, table) = (text(rule, "family"), text(rule, "table"));
        family == chain.family && table == chain.table && text(rule, "chain") == chain.name
    });
    here.filter_map(|rule| rule["expr"].as_array().map(Vec::as_slice))
}

/// The chain that an expression leads to.
fn target(expression: &Value) -> Option<&str> {
    let leads = [&expression["jump"]["target"], &expression["goto"]["target"]];
    leads.into_iter().find_map(Value::as_str)
}

/// The rules of a chain, and of those that it leads to.
fn reached<'a>(objects: &'a [Value], chain: Chain<'a>) -> Vec<&'a [Value]> {
    let (mut names, mut rules) = (vec![chain.name], Vec::new());
    let mut next = 0;
    while let Some(name) = names.get(next).copied() {
        next += 1;
        for rule in rules_of(objects, Chain { name, ..chain }) {
            rules.push(rule);
            for to in rule.iter().filter_map(target) {
                if !names.contains(&to) {
                    names.push(to);
                }
            }
            if ends_chain(rule) {
                break;
            }
        }
    }
    rules
}

/// Whether a rule drops a packet.
fn drops(rule: &[Value]) -> bool {
    let mut keys = rule.iter();
    keys.any(|one| one.get("drop").is_some() || one.get("reject").is_some())
}

/// Whether a rule decides on every packet, so that no later rule of its chain is reached. Anything but counters, logs
/// and comments may be a condition.
fn ends_chain(rule: &[Value]) -> bool {
    let decides = |one: &Value| {
        let verdicts = ["accept", "drop", "reject", "return", "queue", "goto"];
        verdicts.iter().any(|verdict| one.get(verdict).is_some())
    };
    rule.iter().any(decides) && rule.iter().all(|one| decides(one) || has_no_say(one))
}

/// Whether an expression neither compares nor decides.
fn has_no_say(expression: &Value) -> bool {
    let is_comment = expression["xt"]["name"] == "comment";
    is_comment || expression.get("counter").is_some() || expression.get("log").is_some()
}

/// Whether the chain drops what no rule with a condition decides on: by the rule that ends it, or else by its policy.
fn drops_the_rest(objects: &[Value], chain: Chain<'_>, drops_by_policy: bool) -> bool {
    let last = rules_of(objects, chain).find(|rule| ends_chain(rule));
    match last {
        Some(rule) if rule.iter().any(|one| one.get("accept").is_some()) => false,
        Some(rule) => drops(rule) || drops_by_policy,
        None => drops_by_policy,
    }
}

/// Whether rules that a packet comes to let pass what comes from each of our bridges, and what goes there. One with a
/// further condition does not: some packets it leaves to the others.
fn lets_pass(objects: &[Value], chain: Chain<'_>, bridges: &[&str]) -> bool {
    let rules = reached(objects, chain);
    // The zone of firewalld that lets all pass.
    let accepts = |one: &Value| {
        let is_trusted = |to: &str| chain.table == "firewalld" && to.ends_with("_trusted");
        one.get("accept").is_some() || target(one).is_some_and(is_trusted)
    };
    let passes = |key: &str, bridge: &str| {
        rules.iter().any(|rule| {
            let by_link = |one: &Value| {
                let compared = &one["match"];
                compared["left"]["meta"]["key"] == key
                    && compared["op"] != "!="
                    && names(&compared["right"], bridge)
            };
            let may_be = |one: &Value| by_link(one) || accepts(one) || has_no_say(one);
            rule.iter().any(by_link) && rule.iter().any(accepts) && rule.iter().all(may_be)
        })
    };
    let wanted = match bridges {
        [] => &[BRIDGES],
        bridges => bridges,
    };
    // What firewalld translates goes its way in any case.
    let both = chain.table != "firewalld";
    wanted
        .iter()
        .all(|bridge| passes("iifname", bridge) && (!both || passes("oifname", bridge)))
}

/// Whether an expression about the name of a link is about this one.
fn names(expression: &Value, link: &str) -> bool {
    if let Some(members) = expression["set"].as_array() {
        return members.iter().any(|member| names(member, link));
    }
    match expression.as_str() {
        Some(name) => match name.strip_suffix('*') {
            Some(beginning) => link.starts_with(beginning),
            None => name == link,
        },
        None => false,
    }
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chain(table: &str, name: &str, policy: &str) -> Value {
        json!({ "chain": { "family": "ip", "table": table, "name": name, "hook": "forward", "policy": policy } })
    }

    fn plain(table: &str, name: &str) -> Value {
        json!({ "chain": { "family": "ip", "table": table, "name": name } })
    }

    fn rule(table: &str, name: &str, expressions: &Value) -> Value {
        json!({ "rule": { "family": "ip", "table": table, "chain": name, "expr": expressions } })
    }

    fn leads(table: &str, from: &str, to: &str) -> Value {
        rule(
            table,
            from,
            &json!([{ "counter": { "packets": 0, "bytes": 0 } }, { "jump": { "target": to } }]),
        )
    }

    fn passing(key: &str, link: &str) -> Value {
        json!([{ "match": { "op": "==", "left": { "meta": { "key": key } }, "right": link } }, { "accept": null }])
    }

    fn with(objects: &[Value]) -> Facts {
        Facts {
            rules: Some(json!({ "nftables": objects })),
            routes: Route::read_all(
                "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
                 up0\t00000000\t0101000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                 hcb01\t0000E70A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n",
            ),
            translated: Subnet::read("10.231.0.0/24").into_iter().collect(),
            ..Facts::default()
        }
    }

    fn kinds(facts: &Facts) -> Vec<&'static str> {
        check(facts)
            .into_iter()
            .map(|finding| finding.kind)
            .collect()
    }

    #[test]
    fn a_chain_that_drops_is_found_until_it_lets_bridges_pass() {
        let docker = [
            chain("filter", "FORWARD", "drop"),
            plain("filter", "DOCKER-USER"),
        ];
        let found = check(&with(&docker));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].what.starts_with("docker drops") && found[0].repair.contains("-i hcb+"),
            "{found:?}"
        );
        let passing = |key| rule("filter", "DOCKER-USER", &passing(key, "hcb*"));
        let half = [
            &docker[..],
            &[
                leads("filter", "FORWARD", "DOCKER-USER"),
                passing("iifname"),
            ],
        ]
        .concat();
        assert_eq!(kinds(&with(&half)), ["firewall"]);
        let both = [&half[..], &[passing("oifname")]].concat();
        assert_eq!(kinds(&with(&both)), [""; 0]);
        let unreached = [&docker[..], &[passing("iifname"), passing("oifname")]].concat();
        assert_eq!(kinds(&with(&unreached)), ["firewall"]);
        let some = |key| {
            let mut rule = passing(key);
            let port = json!({ "match": { "op": "==", "left": { "payload": { "protocol": "tcp", "field": "dport" } }, "right": 80 } });
            rule["rule"]["expr"].as_array_mut().unwrap().insert(0, port);
            rule
        };
        let some = [&half[..], &[some("oifname")]].concat();
        assert_eq!(kinds(&with(&some)), ["firewall"]);

        let ufw = [
            chain("filter", "FORWARD", "drop"),
            plain("filter", "ufw-user-forward"),
        ];
        assert_eq!(
            check(&with(&ufw))[0].repair,
            "ufw route allow in on hcb01 && ufw route allow out on hcb01"
        );
        assert_eq!(kinds(&with(&[chain("hcs-1", "forward", "drop")])), [""; 0]);
        assert_eq!(kinds(&with(&[chain("mine", "forward", "accept")])), [""; 0]);
    }

    #[test]
    fn what_a_chain_ends_with_counts_and_conditions_do_not() {
        let forward = chain("firewalld", "filter_FORWARD", "accept");
        let some = json!([{ "match": { "op": "==", "left": { "ct": { "key": "state" } }, "right": "invalid" } }, { "drop": null }]);
        let some = rule("firewalld", "filter_FORWARD", &some);
        assert_eq!(kinds(&with(&[forward.clone(), some.clone()])), [""; 0]);
        let last = rule(
            "firewalld",
            "filter_FORWARD",
            &json!([{ "reject": { "type": "icmpx" } }]),
        );
        let zones = leads("firewalld", "filter_FORWARD", "filter_FORWARD_ZONES");
        let whole = [forward, some, zones, last];
        let found = check(&with(&whole));
        assert_eq!(
            found[0].repair,
            "firewall-cmd --zone=trusted --add-interface=hcb01"
        );
        let trusted = json!([
            { "match": { "op": "==", "left": { "meta": { "key": "iifname" } }, "right": { "set": ["x", "hcb01"] } } },
            { "goto": { "target": "filter_FWD_trusted" } },
        ]);
        let whole = [
            &whole[..],
            &[rule("firewalld", "filter_FORWARD_ZONES", &trusted)],
        ]
        .concat();
        assert_eq!(kinds(&with(&whole)), [""; 0]);
    }

    #[test]
    fn a_rule_without_a_condition_hides_those_after_it() {
        let forward = chain("mine", "forward", "accept");
        let all = |verdict: &str| {
            let verdict = json!([{ "counter": { "packets": 0, "bytes": 0 } }, { verdict: null }]);
            rule("mine", "forward", &verdict)
        };
        let log = rule("mine", "forward", &json!([{ "log": { "prefix": "x" } }]));
        let pass = ["iifname", "oifname"].map(|key| rule("mine", "forward", &passing(key, "hcb*")));
        let found = |rules: &[&[Value]]| {
            let whole = [std::slice::from_ref(&forward), &rules.concat()].concat();
            kinds(&with(&whole))
        };
        let (drop, accept) = ([all("drop")], [all("accept")]);
        // What comes after the drop is not reached.
        assert_eq!(found(&[&drop, std::slice::from_ref(&log)]), ["firewall"]);
        assert_eq!(found(&[&drop, &pass]), ["firewall"]);
        assert_eq!(found(&[&pass, &drop]), [""; 0]);
        assert_eq!(found(&[&accept, &drop]), [""; 0]);
        let elsewhere = json!([{ "goto": { "target": "other" } }]);
        let there = ["iifname", "oifname"].map(|key| rule("mine", "other", &passing(key, "hcb*")));
        let begins = [
            chain("mine", "forward", "drop"),
            plain("mine", "other"),
            rule("mine", "forward", &elsewhere),
        ];
        assert_eq!(kinds(&with(&begins)), ["firewall"]);
        let passed = [&begins[..], &there].concat();
        assert_eq!(kinds(&with(&passed)), [""; 0]);
        let by_policy = [chain("mine", "forward", "drop"), accept[0].clone()];
        assert_eq!(kinds(&with(&by_policy)), [""; 0]);
        assert_eq!(found(&[&[log], &accept, &drop]), [""; 0]);
    }

    #[test]
    fn a_chain_is_not_trusted_for_its_name_alone() {
        let forward = chain("mine", "forward", "drop");
        let to = |key: &str| {
            let mut expressions = passing(key, "hcb*");
            expressions[1] = json!({ "jump": { "target": "not_trusted" } });
            rule("mine", "forward", &expressions)
        };
        let whole = [
            forward,
            plain("mine", "not_trusted"),
            to("iifname"),
            to("oifname"),
        ];
        assert_eq!(kinds(&with(&whole)), ["firewall"]);
    }

    #[test]
    fn what_the_kernel_refused_is_told_with_the_modules_that_it_takes() {
        let facts = Facts {
            not_made: Some("making the bridge hcb01 failed".to_owned()),
            ..with(&[])
        };
        let found = check(&facts);
        assert_eq!(kinds(&facts), ["kernel"]);
        assert!(found[0].what.ends_with("hcb01 failed"), "{found:?}");
        assert!(found[0].repair.starts_with("modprobe "), "{found:?}");
    }

    #[test]
    fn settings_and_routes_in_the_way_are_found() {
        let mut facts = with(&[]);
        facts.filters_bridges = true;
        assert_eq!(
            kinds(&facts),
            [""; 0],
            "without rules that drop it does no harm"
        );
        facts.not_forwarding = vec!["up0".to_owned(), "other".to_owned()];
        assert_eq!(
            check(&facts)[0].repair,
            "sysctl -w net/ipv4/conf/up0/forwarding=1"
        );
        facts.translated.clear();
        assert_eq!(
            kinds(&facts),
            [""; 0],
            "a network that is not translated needs none"
        );
        facts.strict = vec!["up0".to_owned()];
        assert_eq!(kinds(&facts), [""; 0]);
        let route = |interface: &str, subnet: &str| Route {
            interface: interface.to_owned(),
            subnet: Subnet::read(subnet).unwrap(),
        };
        facts.routes.push(route("up1", "0.0.0.0/0"));
        assert_eq!(kinds(&facts), ["rp_filter"]);
        facts.routes.push(route("vpn0", "10.0.0.0/8"));
        facts.routes.push(route("vpn0", "10.232.0.0/16"));
        let found = check(&facts);
        assert_eq!(
            found[1].repair, "ip route del 10.0.0.0/8 dev vpn0",
            "{found:?}"
        );
        assert_eq!(found.len(), 2);
        facts.rules = None;
        facts.has_older_tables = true;
        assert_eq!(kinds(&facts)[2..], ["unseen", "unseen"]);
        assert!(check(&facts)[2].repair.starts_with("apt-get"));
        facts.refused = Some("Operation not permitted".to_owned());
        let unseen = &check(&facts)[2];
        assert!(
            unseen.what.ends_with(": Operation not permitted"),
            "{unseen:?}"
        );
        assert_eq!(unseen.repair, "sudo hcs network check");
    }
}
