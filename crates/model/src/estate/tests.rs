use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::{ComponentId, ComponentKind, Name};

/// Services that need one another as given by `needs`, decoded and declared.
fn circles(needs: &BTreeMap<usize, BTreeSet<usize>>) -> Vec<String> {
    let line = |(from, to): (&usize, &BTreeSet<usize>)| {
        let to: Vec<_> = to.iter().map(|t| format!("\"service:s{t:03}\"")).collect();
        format!("s{from:03}.needs.all = [{}]\n", to.join(", "))
    };
    let text: String = needs.iter().map(line).collect();
    let mut problems = Problems::default();
    let tree = parse(FileId(0), &text, &mut problems);
    let services = Table::<RawService>::decode(Node::new(FileId(0), &tree), &mut problems).unwrap();
    let mut graph = Graph::default();
    graph.add_services(&services, &mut problems);
    problems.sorted().iter().map(|p| p.message.clone()).collect()
}

/// True if a walk along `needs` leads from `from` back to it, by looking at every walk.
fn in_circle(needs: &BTreeMap<usize, BTreeSet<usize>>, from: usize) -> bool {
    let mut reached = BTreeSet::new();
    let mut next: Vec<_> = needs[&from].iter().copied().collect();
    while let Some(at) = next.pop() {
        if reached.insert(at) {
            next.extend(&needs[&at]);
        }
    }
    reached.contains(&from)
}

proptest! {
    #[test]
    fn a_circle_is_reported_if_and_only_if_there_is_one(
        edges in prop::collection::vec((0_usize..8, 0_usize..8), 0..14),
    ) {
        let mut needs: BTreeMap<_, BTreeSet<_>> = (0..8).map(|i| (i, BTreeSet::new())).collect();
        for (from, to) in edges {
            needs.get_mut(&from).unwrap().insert(to);
        }
        let reported = circles(&needs);
        prop_assert_eq!(!reported.is_empty(), (0..8).any(|i| in_circle(&needs, i)), "{:?}", reported);
        for circle in &reported {
            let steps: Vec<usize> = circle.split('`').filter_map(|s| s.strip_prefix('s')?.parse().ok()).collect();
            prop_assert!(steps.len() > 1 && steps.first() == steps.last(), "{}", circle);
            prop_assert!(steps.windows(2).all(|w| needs[&w[0]].contains(&w[1])), "{}", circle);
        }
    }

    #[test]
    fn positions_count_as_people_do(text in "[aé\\n€]{0,40}", at in any::<prop::sample::Index>()) {
        let ends: Vec<_> = text.char_indices().map(|(i, _)| i).chain([text.len()]).collect();
        let at = ends[at.index(ends.len())];
        let mut sources = Sources::default();
        let file = sources.add(Source { path: "x".into(), text: text.clone() }).unwrap();
        let lines: Vec<_> = text[..at].split('\n').collect();
        let expected = Position { line: lines.len(), column: lines[lines.len() - 1].chars().count() + 1 };
        prop_assert_eq!(sources.position(Place::new(file, at..at)), expected);
    }
}

#[test]
fn a_long_chain_of_services_needs_no_stack() {
    let last = 9_999;
    let mut needs: BTreeMap<usize, BTreeSet<usize>> =
        (0..=last).map(|i| (i, (i < last).then_some(i + 1).into_iter().collect())).collect();
    assert_eq!(circles(&needs), Vec::<String>::new());
    needs.get_mut(&last).unwrap().insert(0);
    assert_eq!(circles(&needs).len(), 1);
    needs.insert(last + 1, BTreeSet::new());
    assert_eq!(circles(&needs), ["10001 services; at most 10000 are taken"]);
}

#[test]
fn codes_are_in_order_and_their_own() {
    let codes: Vec<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
    assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
}

#[test]
fn a_pool_needs_its_upstreams_and_they_their_region() {
    let name = |text: &str| Name::new(text).unwrap();
    let operator = Operator { provider: name("aws"), region: Some(name("us-east-1")) };
    let mut graph = Graph::default();
    graph.add_pool(&name("eth"), vec![(name("a"), Some(operator)), (name("b"), None)]);
    let pool = ComponentId::new(ComponentKind::Pool, &name("eth"));
    let named: Vec<_> = graph.needs(&pool).unwrap().components().iter().map(ToString::to_string).collect();
    assert_eq!(named, ["upstream:eth/a", "upstream:eth/b"]);
    let upstream = "upstream:eth/a".parse().unwrap();
    assert_eq!(graph.needs(&upstream), Some(&Need::Component("region:aws/us-east-1".parse().unwrap())));
    assert_eq!(graph.needs(&"pool:other".parse().unwrap()), None);
}
