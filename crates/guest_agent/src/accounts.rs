//! Users and groups of the system: `/etc/passwd` and `/etc/group` read as text (`passwd(5)`, `group(5)`). Pure.
//!
//! A `User` is `name`, `uid`, `user:group` in any mixture of names and numbers, or empty for root. A name wins over a
//! number. A number needs no line in the files. With a group named, that group is the only one; without, the user's
//! own and all that list the user as a member.

/// The identity a program runs under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// User id.
    pub(crate) uid: u32,
    /// Group id.
    pub(crate) gid: u32,
    /// Supplementary groups, ascending, without [`Identity::gid`].
    pub(crate) groups: Vec<u32>,
    /// Home directory, where the user has a line that names one.
    pub(crate) home: Option<String>,
}

/// Why a `User` means no user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AccountError {
    /// No such user.
    #[error("there is no user {0:?} in /etc/passwd")]
    User(String),
    /// No such group.
    #[error("there is no group {0:?} in /etc/group")]
    Group(String),
    /// A number that is no id.
    #[error("{0} is no id of a user or group: those are from 0 to 4294967294")]
    Id(String),
    /// More than the kernel takes.
    #[error(
        "the user {user:?} is a member of {count} groups in /etc/group, and a process can be in 65536 (NGROUPS_MAX) at most"
    )]
    Groups {
        /// The name of the user.
        user: String,
        /// Of how many.
        count: usize,
    },
}

/// How many supplementary groups a process can have (`NGROUPS_MAX`).
const MAX_GROUPS: usize = 65_536;

/// One line of `/etc/passwd`.
struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// Finds out who `user` is from the contents of the two files.
pub(crate) fn resolve(user: &str, passwd: &str, group: &str) -> Result<Identity, AccountError> {
    let (user, wanted_group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let by_name = || accounts(passwd).find(|account| account.name == user);
    let by_number = |uid| accounts(passwd).find(move |account| account.uid == uid);
    let (uid, account) = match (by_name(), parse_id(user)) {
        (Some(account), _) => (account.uid, Some(account)),
        (None, Some(uid)) => (uid, by_number(uid)),
        (None, None) if is_number(user) => return Err(AccountError::Id(user.to_owned())),
        (None, None) => return Err(AccountError::User(user.to_owned())),
    };
    let home = account.as_ref().map(|account| account.home);
    let (gid, groups) = match wanted_group {
        Some(wanted) => (find_group(wanted, group)?, Vec::new()),
        None => {
            let gid = account.as_ref().map_or(0, |account| account.gid);
            let groups = account.map(|account| memberships(account.name, gid, group));
            (gid, groups.unwrap_or_default())
        }
    };
    if groups.len() > MAX_GROUPS {
        return Err(AccountError::Groups {
            user: user.to_owned(),
            count: groups.len(),
        });
    }
    Ok(Identity {
        uid,
        gid,
        groups,
        home: home.filter(|home| !home.is_empty()).map(str::to_owned),
    })
}

fn accounts(passwd: &str) -> impl Iterator<Item = Account<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        let (uid, gid) = (parse_id(fields.next()?)?, parse_id(fields.next()?)?);
        let home = fields.nth(1).unwrap_or_default();
        (!name.is_empty()).then_some(Account {
            name,
            uid,
            gid,
            home,
        })
    })
}

/// Name, number and members of each group.
fn groups(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        let gid = parse_id(fields.next()?)?;
        (!name.is_empty()).then_some((name, gid, fields.next().unwrap_or_default()))
    })
}

fn find_group(wanted: &str, group: &str) -> Result<u32, AccountError> {
    let named = groups(group).find(|(name, ..)| *name == wanted);
    named
        .map(|(_, gid, _)| gid)
        .or_else(|| parse_id(wanted))
        .ok_or_else(|| match is_number(wanted) {
            true => AccountError::Id(wanted.to_owned()),
            false => AccountError::Group(wanted.to_owned()),
        })
}

fn memberships(user: &str, own: u32, group: &str) -> Vec<u32> {
    let is_member = |members: &str| members.split(',').any(|member| member.trim() == user);
    let mut found: Vec<u32> = groups(group)
        .filter(|(_, gid, members)| *gid != own && is_member(members))
        .map(|(_, gid, _)| gid)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// A plain decimal id; 4294967295 means "no change" to the kernel and is none.
fn parse_id(text: &str) -> Option<u32> {
    let id = text.parse().ok().filter(|_| is_number(text))?;
    (id != u32::MAX).then_some(id)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_that_are_no_ids_and_too_many_groups_are_called_so() {
        let told = |user: &str, group: &str| resolve(user, PASSWD, group).unwrap_err().to_string();
        for (user, id) in [
            ("4294967295", "4294967295"),
            ("0:99999999999", "99999999999"),
        ] {
            assert!(
                told(user, GROUP).starts_with(&format!("{id} is no id")),
                "{user}"
            );
        }
        let many: String = (0..=65_536)
            .map(|gid| format!("g{gid}:x:{gid}:bob\n"))
            .collect();
        // All but its own.
        assert!(resolve("bob", PASSWD, &many).is_ok());
        let more = format!("{many}more:x:70000:bob\n");
        assert!(
            told("bob", &more).contains("65537 groups"),
            "{}",
            told("bob", &more)
        );
    }

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# comment\n\nbob:x:1000:1000:Bob,,,:/home/bob:/bin/sh\n\
                          broken:x:nan:5::/:\n1234:x:77:78::/n:/bin/sh\nhomeless:x:5:6\n:x:1:1::/:\n";
    const GROUP: &str = "root:x:0:\nbob:x:1000:\nwheel:x:10:root,bob\naudio:x:29:bob , alice\ndup:x:29:bob\nbad:x:y:bob\nshort:x:3\n";

    fn ids(user: &str) -> Result<(u32, u32, Vec<u32>), AccountError> {
        resolve(user, PASSWD, GROUP).map(|i| (i.uid, i.gid, i.groups))
    }

    #[test]
    fn users_by_name_number_and_group() {
        assert_eq!(ids(""), Ok((0, 0, vec![10])));
        assert_eq!(ids("root"), Ok((0, 0, vec![10])));
        assert_eq!(ids("bob"), Ok((1000, 1000, vec![10, 29])));
        assert_eq!(ids("1000"), Ok((1000, 1000, vec![10, 29])));
        assert_eq!(ids("bob:audio"), Ok((1000, 29, vec![])));
        assert_eq!(ids("bob:7"), Ok((1000, 7, vec![])));
        assert_eq!(ids("bob:"), ids("bob"));
        assert_eq!(ids(":wheel"), Ok((0, 10, vec![])));
        assert_eq!(ids("4242:4343"), Ok((4242, 4343, vec![])));
        assert_eq!(ids("4242"), Ok((4242, 0, vec![])));
        assert_eq!(ids("1234"), Ok((77, 78, vec![])), "a name of digits wins");
        assert_eq!(ids("homeless"), Ok((5, 6, vec![])));
        assert_eq!(ids("eve"), Err(AccountError::User("eve".into())));
        assert_eq!(ids("broken"), Err(AccountError::User("broken".into())));
        assert_eq!(ids("bob:noone"), Err(AccountError::Group("noone".into())));
        assert_eq!(ids("-1"), Err(AccountError::User("-1".into())));
        assert_eq!(ids("+5"), Err(AccountError::User("+5".into())));
        assert_eq!(
            ids("4294967295"),
            Err(AccountError::Id("4294967295".into()))
        );
    }

    #[test]
    fn homes() {
        let home = |user| resolve(user, PASSWD, GROUP).unwrap().home;
        assert_eq!(home("bob").as_deref(), Some("/home/bob"));
        assert_eq!(home("homeless"), None);
        assert_eq!(home("4242"), None);
        assert_eq!(resolve("", "", "").unwrap().home, None);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(user in ".{0,12}", passwd in "[a-c:0-9,\n]{0,80}", group in "[a-c:0-9,\n]{0,80}") {
            if let Ok(identity) = resolve(&user, &passwd, &group) {
                prop_assert_ne!(identity.uid, u32::MAX);
                prop_assert!(!identity.groups.contains(&identity.gid));
            }
        }

        /// A written file is read back.
        #[test]
        fn written_accounts_are_found(
            users in prop::collection::btree_map("[a-z_][a-z0-9_-]{0,8}", (1..60_000_u32, 1..60_000_u32), 1..10),
            members in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        ) {
            let passwd: String = users.iter()
                .map(|(name, (uid, gid))| format!("{name}:x:{uid}:{gid}::/home/{name}:/bin/sh\n"))
                .collect();
            let names: Vec<&String> = users.keys().collect();
            let members: Vec<&str> = members.iter().map(|i| i.get(&names).as_str()).collect();
            let group = format!("extra:x:70000:{}\n", members.join(","));
            for (name, (uid, gid)) in &users {
                let groups = if members.contains(&name.as_str()) { vec![70_000] } else { vec![] };
                let home = Some(format!("/home/{name}"));
                let expected = Identity { uid: *uid, gid: *gid, groups, home };
                prop_assert_eq!(resolve(name, &passwd, &group), Ok(expected));
            }
        }
    }
}
