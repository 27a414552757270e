//! The settings in force, swapped whole.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{ReadRule, Settings};

/// Shared by everyone who reads hot settings; a reader sees one generation whole.
#[derive(Debug)]
pub struct Live {
    settings: ArcSwap<Settings>,
    generation: watch::Sender<u64>,
    ramp: Mutex<Ramp>,
}

/// The share of reads has two masters: the configuration, and `POST /ramp` until the configuration changes its mind.
#[derive(Debug)]
struct Ramp {
    configured: f64,
    rules: Vec<ReadRule>,
    held: Option<f64>,
}

impl Ramp {
    fn of(settings: &Settings) -> Self {
        Self { configured: settings.reads.percent, rules: settings.reads.rule.clone(), held: None }
    }

    /// Zero by hand stops everything, what rules send too.
    fn put(&self, settings: &mut Settings) {
        settings.reads.percent = self.held.unwrap_or(self.configured);
        settings.reads.rule.clone_from(&self.rules);
        if self.held == Some(0.0) {
            settings.reads.rule.iter_mut().for_each(|rule| rule.percent = 0.0);
        }
    }
}

impl Live {
    /// The first generation.
    pub fn new(settings: Settings) -> Arc<Self> {
        let ramp = Ramp::of(&settings);
        Arc::new(Self {
            settings: ArcSwap::from_pointee(settings),
            generation: watch::Sender::new(1),
            ramp: Mutex::new(ramp),
        })
    }

    /// The settings now in force, `reads.percent` as the ramp has it.
    pub fn get(&self) -> arc_swap::Guard<Arc<Settings>> {
        self.settings.load()
    }

    /// Counts accepted configurations, from 1.
    pub fn generation(&self) -> u64 {
        *self.generation.borrow()
    }

    /// Told whenever something in force changes, the ramp included.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Puts `settings` in force. A share set by [`Live::ramp`] holds unless `reads.percent` itself changes.
    pub fn swap(&self, mut settings: Settings) {
        let mut ramp = self.ramp.lock();
        let held = ramp.held.filter(|_| settings.reads.percent == ramp.configured);
        *ramp = Ramp { held, ..Ramp::of(&settings) };
        ramp.put(&mut settings);
        self.settings.store(Arc::new(settings));
        self.generation.send_modify(|generation| *generation += 1);
    }

    /// Sends this share of reads to the shadow until `reads.percent` itself changes in the configuration, or a
    /// restart; at 0 none, whatever `reads.rule` says. `percent` is within 0 to 100.
    pub fn ramp(&self, percent: f64) {
        let mut ramp = self.ramp.lock();
        ramp.held = Some(percent);
        let mut settings = Settings::clone(&self.settings.load());
        ramp.put(&mut settings);
        self.settings.store(Arc::new(settings));
        self.generation.send_modify(|_| {});
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(percent: f64) -> Settings {
        let url = |host: &str| format!("postgres://a@{host}/d").parse().unwrap();
        let mut settings = Settings::between(url("one"), url("two"));
        settings.reads.percent = percent;
        settings
    }

    #[test]
    fn the_ramp_holds_until_its_own_key_changes() {
        let live = Live::new(settings(10.0));
        live.ramp(60.0);
        assert_eq!(live.get().reads.percent, 60.0);

        let mut other_key = settings(10.0);
        other_key.reads.pool_size = 3;
        live.swap(other_key);
        assert_eq!((live.get().reads.percent, live.get().reads.pool_size), (60.0, 3));

        live.swap(settings(20.0));
        assert_eq!(live.get().reads.percent, 20.0);
        live.swap(settings(20.0));
        assert_eq!(live.get().reads.percent, 20.0, "an override does not come back");
    }

    #[test]
    fn zero_by_hand_stops_what_rules_send_too_until_it_is_turned_again() {
        let rules = |percent| vec![ReadRule { of: crate::config::RuleOf::Table("*".to_owned()), percent }];
        let ruled = || {
            let mut settings = settings(10.0);
            settings.reads.rule = rules(50.0);
            settings
        };
        let live = Live::new(ruled());
        live.ramp(0.0);
        assert_eq!(live.get().reads.rule, rules(0.0));
        live.swap(ruled());
        assert_eq!(live.get().reads.rule, rules(0.0));
        live.ramp(5.0);
        assert_eq!(live.get().reads.rule, rules(50.0));
    }

    #[test]
    fn the_ramp_is_told_but_is_no_new_configuration() {
        let live = Live::new(settings(0.0));
        let mut changes = live.subscribe();
        live.ramp(5.0);
        assert!(changes.has_changed().unwrap());
        assert_eq!(*changes.borrow_and_update(), 1);
        live.swap(settings(1.0));
        assert_eq!(live.generation(), 2);
    }
}
