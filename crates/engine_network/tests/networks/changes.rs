//! Endpoints and ports that come and go while the tables stay: a value of [`Host`] that is kept writes what differs.

use engine_network::{Forwarding, Host, Rules, survey, write_rules};
use hcn::intent::Intent;
use serde_json::{Value, json};

use crate::{
    traffic::{connects, listen, talk},
    world::{UPLINK, World, can_work},
};

fn mapping(external: u16) -> Value {
    let settings = json!({"Protocol": 6, "InternalPort": 80, "ExternalPort": external});
    json!({"Policies": [{"Type": "PortMapping", "Settings": settings}]})
}

/// A kept value, in the host's place.
struct Kept<'w> {
    world: &'w World,
    host: Host,
}

impl Kept<'_> {
    fn write(&mut self, intent: &Intent) {
        let Self { world, host } = self;
        world.host.run(|| {
            let guarded = Forwarding::default().guarded(&world.former);
            write_rules(host, intent, &Rules::of(intent, guarded)).unwrap();
        });
    }

    fn is_there(&mut self, intent: &Intent) -> bool {
        let Self { world, host } = self;
        world.host.run(|| survey(host, intent).unwrap().rules)
    }
}

/// What the kernel numbers its tables by: those that were made anew have other numbers.
fn handles(world: &World) -> String {
    world.host.program("nft", "-a list tables")
}

fn kept(world: &World) -> Kept<'_> {
    let host = world.host.run(|| Host::open("hcs").unwrap());
    Kept { world, host }
}

#[test]
fn endpoints_and_ports_come_and_go_while_the_tables_stay() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let before = world.state.intent();
    let one = world.container(network, 2, mapping(8080));
    let two = world.container(network, 3, mapping(8081));
    let servers = [listen(&one.space, 80), listen(&two.space, 80)];
    let both = world.state.intent();
    let mut first = both.clone();
    first
        .endpoints
        .retain(|endpoint| endpoint.id == one.endpoint);
    let mut kept = kept(&world);
    kept.write(&before);
    let tables = handles(&world);
    assert!(!connects(&world.outside, (UPLINK, 8080)));
    for intent in [&first, &both, &first, &both] {
        kept.write(intent);
        assert!(kept.is_there(intent), "all of it, and nothing else");
        assert_eq!(handles(&world), tables, "they stay");
        talk(&world.outside, (UPLINK, 8080), &servers[0]);
    }
    talk(&world.outside, (UPLINK, 8081), &servers[1]);
    talk(&one.space, (UPLINK, 8081), &servers[1]);
    kept.write(&first);
    assert!(!connects(&world.outside, (UPLINK, 8081)));
    kept.write(&before);
    assert!(kept.is_there(&before) && !connects(&world.outside, (UPLINK, 8080)));
}

#[test]
fn what_others_change_is_noticed_and_written_anew() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    let network = world.network(1, json!({}));
    let before = world.state.intent();
    let one = world.container(network, 2, mapping(8080));
    let server = listen(&one.space, 80);
    let after = world.state.intent();
    let mut kept = kept(&world);
    for change in [
        "flush ruleset",
        "flush chain inet hcs published",
        "flush set bridge hcs held",
        "delete element inet hcs ports { tcp . 8080 }",
        "add element inet hcs ports { tcp . 9090 : 192.0.2.1 . 90 }",
    ] {
        kept.write(&before);
        kept.write(&after);
        assert!(kept.is_there(&after));
        world.host.program("nft", change);
        assert!(!kept.is_there(&after), "{change}");
    }
    kept.write(&after);
    // It is not noticed, and what is to be removed is not there.
    world.host.program("nft", "flush ruleset");
    kept.write(&before);
    assert!(kept.is_there(&before));
    kept.write(&after);
    assert!(kept.is_there(&after));
    talk(&world.outside, (UPLINK, 8080), &server);
}
