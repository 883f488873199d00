//! `hcs commit`: images of what containers have written.

use std::fs;

use serde_json::{Value, json};

use crate::{
    common::{ended, unique},
    image_runs::Shop,
    service::Place,
};

#[test]
fn an_image_has_what_its_container_has_written() {
    let shop = Shop::new();
    let execution = json!({"Cmd": ["sh", "-c", "cat /srv/app/file; cat /new/file; ls /bin/touch; id -u"], "User": "7"});
    shop.configured("app", &execution).fine();
    fs::create_dir(shop.path().join("scratch")).unwrap();
    let id = unique("commit");
    let script = "echo changed > /srv/app/file; mkdir /new; echo new > /new/file; busybox rm /bin/touch; echo ready; exec sleep 1000";
    let words = [
        "run",
        "-d",
        "--store",
        "store",
        "--scratch",
        "scratch",
        "-u",
        "0",
        "--id",
        &id,
        "app",
        "sh",
        "-c",
        script,
    ];
    shop.line(&words).fine();
    shop.script(&format!("$HCS logs -f {id} | {{ read line; echo $line; }}"));
    shop.line(&["pause", &id]).fine();
    assert_eq!(
        shop.line(&["commit", &id, "built"]).fine(),
        "built:latest\n"
    );
    shop.line(&["terminate", &id]).fine();
    let said = shop.hcs("run --store store built");
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(0), "changed\nnew\n7\n"),
        "{said:?}"
    );
    assert!(said.err.contains("/bin/touch"), "{said:?}");
    let about = |name: &str| -> Value {
        let said = shop.hcs(&format!("image inspect --store store {name}"));
        serde_json::from_str(&said.fine()).unwrap()
    };
    let (app, built) = (about("app"), about("built"));
    let (below, above) = (
        app["Layers"].as_array().unwrap(),
        built["Layers"].as_array().unwrap(),
    );
    assert_eq!((below.len(), above.len()), (1, 2));
    assert_eq!(below[0]["DiffId"], above[1]["DiffId"]);
    assert_eq!(app["Config"], built["Config"]);
    let history = shop.hcs("image history --store store built").fine();
    assert!(history.contains(&format!("hcs commit {id}")), "{history}");
    // Other programs see the same.
    shop.script("$HCS image save --store store --format directory --output layout built && \
                 umoci unpack --image layout:built:latest bundle 2>&1 && cat bundle/rootfs/new/file && ! test -e bundle/rootfs/bin/touch");
}

#[test]
fn what_keeps_nothing_cannot_be_committed() {
    let shop = Shop::new();
    let id = unique("commit");
    let create = |options: &str| {
        shop.hcs(&format!("create --id {id} {options}")).fine();
        let said = shop.line(&["commit", &id, "built"]);
        shop.line(&["terminate", &id]).fine();
        assert_eq!((said.code, said.out.as_str()), (Some(125), ""), "{said:?}");
        said.err
    };
    let said = create("--store store --image tools");
    assert!(said.contains("--scratch DIR"), "{said}");
    fs::create_dir(shop.path().join("scratch")).unwrap();
    let said = create("--layer root --scratch scratch");
    assert!(said.contains("is made of no image"), "{said}");
    assert_eq!(
        shop.line(&["commit", "no-such-box", "built"]).code,
        Some(125)
    );
    assert_eq!(
        shop.hcs("image list -q --store store").fine(),
        "tools:latest\n"
    );
}

/// In a user namespace an overlay keeps its marks in attributes of users, whatever asked for the namespace.
#[test]
fn what_was_deleted_does_not_come_back_where_the_configuration_asks_for_user_namespaces() {
    let shop = Shop::new();
    let service = Place::configured("user_namespaces = true\n");
    let line = |words: &[&str]| ended(service.hcs(words).current_dir(shop.path()));
    // Directories that others made are not a container's scratch, unless they are its root's.
    fs::create_dir(shop.path().join("scratch")).unwrap();
    let script = "busybox rm -r /srv/app; busybox mkdir /srv/app; echo new > /srv/app/new; echo ready; exec sleep 1000";
    let words = "run -d --id box --store store --scratch scratch -u 0 tools sh -c";
    let words: Vec<&str> = words.split(' ').chain([script]).collect();
    line(&words).fine();
    let endpoint = service.endpoint();
    let follow = format!(
        "HCS_ENDPOINT={} $HCS logs -f box | {{ read line; echo $line; }}",
        endpoint.display()
    );
    assert_eq!(shop.script(&follow), "ready\n");
    line(&["pause", "box"]).fine();
    line(&["commit", "box", "built"]).fine();
    // A commit that costs too much leaves nothing.
    let blobs = || {
        fs::read_dir(shop.store().join("oci/blobs/sha256"))
            .unwrap()
            .count()
    };
    let before = blobs();
    let said = line(&["commit", "--max-files", "1", "box", "other"]);
    assert!(said.err.contains("more than 1 entries"), "{said:?}");
    assert_eq!(blobs(), before);
    line(&["terminate", "box"]).fine();
    let said = line(&["run", "--store", "store", "built", "ls", "/srv/app"]);
    assert_eq!(said.fine(), "new\n");
}
