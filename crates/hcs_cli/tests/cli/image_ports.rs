//! `-P`, `hcs port`, and what `hcs inspect` shows of ports.

use serde_json::{Value, json};

use crate::{image_runs::Shop, networks::World};

#[test]
fn all_ports_that_an_image_exposes_are_published_at_free_ones() {
    let world = World::new();
    let shop = Shop::new();
    let server = ["busybox", "httpd", "-f", "-h", "/srv/app"];
    let execution = json!({"ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "Cmd": server});
    shop.configured("web", &execution).fine();
    let store = shop.store();
    let run = |options: &str, image: &str| {
        world.words(&format!(
            "run -d --store {} {options} {image}",
            store.display()
        ))
    };
    // The ports of the host that lead to a container, which are chosen anew for each.
    let published = |id: &str| {
        let told = world.words(&format!("port {id}")).fine();
        let [udp, tcp] = ["53/udp -> 0.0.0.0:", "80/tcp -> 0.0.0.0:"].map(|start| {
            let line = told.lines().find_map(|line| line.strip_prefix(start));
            line.and_then(|port| port.parse::<u16>().ok()).unwrap()
        });
        assert!(udp >= 61_000 && tcp >= 61_000 && udp != tcp, "{told}");
        (udp, tcp)
    };
    assert_eq!(run("--id web -P", "web").fine(), "web\n");
    let (_, tcp) = published("web");
    let only = format!("0.0.0.0:{tcp}\n");
    assert_eq!(world.words("port web 80").fine(), only);
    assert!(world.heard(tcp).starts_with("HTTP/1."));
    // What is named is published as it is named, and beside it the rest.
    run("--id other -P -p 127.0.0.1:8080:80", "web").fine();
    let shown: Value = serde_json::from_str(&world.words("port --json other").fine()).unwrap();
    let port = |protocol: &str, port: u16, address: &str, host: u16| json!({"Protocol": protocol, "Port": port, "HostAddress": address, "HostPort": host});
    let udp = u16::try_from(shown[0]["HostPort"].as_u64().unwrap()).unwrap();
    assert!(udp >= 61_000, "{shown}");
    let expected = json!([
        port("udp", 53, "0.0.0.0", udp),
        port("tcp", 80, "127.0.0.1", 8080)
    ]);
    assert_eq!(shown, expected);
    let inspected: Value = serde_json::from_str(&world.words("inspect other").fine()).unwrap();
    assert_eq!(inspected["Ports"], expected);
    assert!(world.heard(8080).starts_with("HTTP/1."));
    world.words("terminate web").fine();
    run("--id next --publish-all", "web").fine();
    published("next");

    let none = world.words("port next 81");
    assert_eq!(none.code, Some(125), "{none:?}");
    assert!(none.err.contains("\"81\" of \"next\""), "{none:?}");
    let silent = run("--id silent -P", "tools sleep 1000");
    assert!(silent.err.contains("the image exposes none"), "{silent:?}");
    assert_eq!(world.words("port silent").fine(), "");
    let without = world.words("run -P -- true");
    assert_eq!(without.code, Some(125), "{without:?}");
    assert!(without.err.contains("no image is named"), "{without:?}");
}
