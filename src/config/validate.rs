//! What must hold between keys.

use super::kind::split_address;
use super::load::read_secret;
use super::problem::Problem;
use super::sources::Entries;
use super::{PgUrl, Settings, certificates};

/// Whether only this machine reaches the address.
pub fn is_loopback(address: &str) -> bool {
    let Some((host, _)) = split_address(address) else { return false };
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// What is wrong with settings that are fine one by one.
pub(super) fn together(settings: &Settings, entries: &Entries) -> Vec<Problem> {
    let problem =
        |key: &str, complaint: String| Problem { place: entries.place(key), key: Some(key.to_owned()), complaint };
    let mut problems = Vec::new();
    if same_database(&settings.primary.url, &settings.shadow.url) {
        let complaint = format!("found the primary itself ({}), allowed: another database", settings.primary.url);
        problems.push(problem("shadow.url", complaint));
    }
    let (listen, admin) = (&settings.listen.address, &settings.admin.address);
    if listen == admin && !listen.ends_with(":0") {
        problems.push(problem(
            "admin.address",
            format!("found \"{admin}\", which is listen.address too; allowed: another port"),
        ));
    }
    match &settings.admin.token_file {
        None if !is_loopback(admin) => {
            let complaint = format!(
                "missing: admin.address \"{admin}\" can be reached from other machines, so changes need a token"
            );
            problems.push(problem("admin.token_file", complaint));
        }
        None => {}
        Some(file) => problems.extend(read_secret(file).err().map(|complaint| problem("admin.token_file", complaint))),
    }
    problems.extend(settings.listen.tls().err().map(|(key, complaint)| problem(key, complaint)));
    problems.extend(settings.listen.verifiers().err().map(|complaint| problem("listen.auth_file", complaint)));
    for (key, url) in [("primary.url", &settings.primary.url), ("shadow.url", &settings.shadow.url)] {
        let trusted = url.sslrootcert.as_deref().map(certificates);
        problems
            .extend(trusted.and_then(Result::err).map(|complaint| problem(key, format!("sslrootcert: {complaint}"))));
    }
    problems
}

fn same_database(a: &PgUrl, b: &PgUrl) -> bool {
    (&a.host, a.port, &a.database) == (&b.host, b.port, &b.database)
}
