//! The network of containers for which none is named, and networks that they come into while they run.

use crate::networks::World;

const LINK: &str = "ip -o -4 addr show dev eth0";

/// What is told where there is no network.
const WITHOUT: &str = "hcs: no network but loopback: ";

#[test]
fn containers_of_root_are_in_nat_unless_another_word_is_said() {
    let world = World::configured("");
    let said = world.script("", LINK).fine();
    assert!(said.contains("inet 10.231.0."), "{said}");
    let listed = world.words("network list").fine();
    assert!(listed.contains("nat   NAT   10.231.0.0/24  "), "{listed}");
    world.words("run -d --id web -- sleep 1000").fine();
    world.words("create --id box").fine();
    world.words("start box").fine();
    world.words("exec box -- getent hosts web").fine();
    world.words("terminate web box").fine();
    // The second container finds the network that the first one had made; and it is made again.
    world.words("network remove nat").fine();
    assert!(world.script("", LINK).fine().contains("inet 10.231.0."));
    let alone = world.script("--network none", "ls /sys/class/net");
    assert_eq!(alone.fine(), "lo\n");
    world.words("network remove nat").fine();
    let configured = World::configured("default_network = \"none\"\n");
    assert_eq!(configured.script("", "ls /sys/class/net").fine(), "lo\n");
    assert_eq!(configured.shell("nft list tables"), "");
}

#[test]
fn a_container_goes_on_without_the_default_network_where_it_cannot_be_had() {
    let world = World::configured("");
    let without = |options: &str, why: &str| {
        let said = world.script(options, "ls /sys/class/net");
        assert_eq!(
            (said.code, said.out.as_str()),
            (Some(0), "lo\n"),
            "{said:?}"
        );
        assert_eq!(said.err.lines().count(), 1, "{said:?}");
        assert!(
            said.err.starts_with(WITHOUT) && said.err.contains(why),
            "{said:?}"
        );
    };
    // No subnet is free.
    let routes = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
    for route in routes {
        world.shell(&format!("ip route add {route} dev lo"));
    }
    without("", "subnet");
    let named = world.script("--network nat", "true");
    assert_eq!(named.code, Some(125), "{named:?}");
    for route in routes {
        world.shell(&format!("ip route del {route} dev lo"));
    }
    // No address is left in it.
    world
        .words("network create --subnet 10.20.0.0/30 nat")
        .fine();
    world.words("run -d --id one -- sleep 1000").fine();
    without("", "are in use");
    let made = world.words("create --id two");
    assert!(
        made.out == "two\n" && made.err.starts_with(WITHOUT),
        "{made:?}"
    );
    let named = world.script("--network nat", "true");
    assert_eq!(named.code, Some(125), "{named:?}");
    world.words("terminate one two").fine();
    world.words("network remove nat").fine();
}

#[test]
fn a_running_container_comes_into_networks_and_goes_out_of_them() {
    let mut world = World::configured("default_network = \"none\"\n");
    world
        .words("network create --subnet 10.20.0.0/24 back")
        .fine();
    world
        .words("run -d --id other --network back -- sleep 1000")
        .fine();
    world.words("run -d --id box -- sleep 1000").fine();
    let links = |world: &World| world.words("exec box -- ls /sys/class/net").fine();
    assert_eq!(links(&world), "lo\n");
    world
        .words("network connect --ip 10.20.0.77 back box")
        .fine();
    let said = world
        .words("exec box -- ip -o -4 addr show dev eth0")
        .fine();
    assert!(said.contains("inet 10.20.0.77/24"), "{said}");
    // Both find the other.
    world.words("exec box -- getent hosts other").fine();
    let found = world.words("exec other -- getent hosts box").fine();
    assert!(found.starts_with("10.20.0.77 "), "{found}");
    world.words("network connect nat box").fine();
    assert_eq!(links(&world), "eth0\neth1\nlo\n");
    // The next service has them, too.
    world.kill_service();
    world.words("network disconnect back box").fine();
    assert_eq!(links(&world), "eth1\nlo\n");
    let gone = world.words("network disconnect back box");
    assert_eq!(gone.code, Some(125), "{gone:?}");
    assert!(
        gone.err.contains("is not in the network \"back\""),
        "{gone:?}"
    );
    // What was made for it ends with it.
    world.words("network connect back box").fine();
    world.words("terminate box other").fine();
    world.words("network remove back nat").fine();
    assert_eq!(world.shell("nft list tables"), "");
}

#[test]
fn a_container_in_the_network_of_others_stays_as_it_is() {
    let world = World::configured("default_network = \"none\"\n");
    world
        .words("run -d --id box --network host -- sleep 1000")
        .fine();
    let refused = world.words("network connect nat box");
    assert_eq!(refused.code, Some(125), "{refused:?}");
    assert!(
        refused.err.contains("which others have, too"),
        "{refused:?}"
    );
    let links = world.shell("ip -o link");
    assert!(!links.contains("eth0"), "{links}");
    world.words("terminate box").fine();
    world.words("network remove nat").fine();
}
