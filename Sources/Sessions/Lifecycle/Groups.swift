import Block
import DeviceMapper
import FoundationEssentials
import SystemPackage

/// A group as it is now.
public struct GroupReport: Sendable {
    /// Its name, and which activations are in it.
    public let group: DeviceGroup
    /// What is activated, in its order.
    public let devices: [Activation]
    /// The instant that its devices' next or open sessions go back to; nil if they have none in common.
    public let instant: GroupInstant?
}

/// Devices that belong together: which they are, and the instants that they have in common.
///
/// Where a session begins is known to the last byte, but not when: its store may have been armed long before the first
/// write. So two devices' sessions go back to one instant if at some moment both stores were armed and both were
/// empty. That is so whenever none of the group's devices is in use, and a checkpoint makes it so while they are.
extension Lifecycle {
    /// Makes a group of these devices, or gives it others than it has.
    ///
    /// - Throws: `notActivated`, `noSuchDevice`; `unsuitable` for what can't be in one.
    func group(
        _ name: GroupName, _ devices: [String]
    ) throws(SessionsError) -> GroupReport {
        guard (try? finder.find(name.text)) ?? nil == nil else {
            throw .unsuitable(
                device: name.text,
                reason: "a device that is activated is called so; call the group otherwise")
        }
        guard !devices.isEmpty else {
            throw .unsuitable(
                device: name.text, reason: "a group has one device at least; name some")
        }
        var members: [Activation] = []
        for device in devices {
            guard let one = try finder.find(device) else { throw .notActivated(device) }
            guard !members.contains(where: { $0.id == one.id }) else {
                throw .unsuitable(
                    device: device, reason: "it is named twice; name each device once")
            }
            members.append(one)
        }
        try asSessionsError { try refuseStacked(members) }
        let group = DeviceGroup(name: name, members: members.map(\.id))
        try registry.update { document throws(SessionsError) in
            for id in group.members { try refuseUnfit(id, for: name, in: document) }
            var groups = document.groups ?? []
            if let index = groups.firstIndex(where: { $0.name == name }) {
                groups[index] = group
            } else {
                groups.append(group)
            }
            document.groups = groups
        }
        try noteRest(of: group.members[0])
        return try report(on: name)
    }

    private func refuseUnfit(
        _ id: String, for name: GroupName, in document: Registry.Document
    ) throws(SessionsError) {
        guard let one = document[id: id] else { throw .notActivated(id) }
        if let other = document.group(of: id), other.name != name {
            throw .unsuitable(
                device: one.path.text,
                reason: "it is in the group \(other.name); take it out of that first "
                    + "(`dmsnap group \(other.name)` with the others, or with --dissolve)")
        }
        try refuseOverlay(one, "then put it into a group")
        // One that was put back while the others go on would have another past than they.
        guard one.restorePolicy == nil else {
            throw .unsuitable(
                device: one.path.text,
                reason: "it is put back by itself, which a device of a group is not; "
                    + "end that first (`dmsnap set \(one.path) --restore-at never`)")
        }
    }

    /// The other way round.
    func refuseForMember(_ one: Activation, _ device: String) throws(SessionsError) {
        guard let group = try registry.read().group(of: one.id) else { return }
        throw .unsuitable(
            device: device,
            reason:
                "it is in the group \(group.name), and a device of a group is not put back by itself; "
                + "take it out of that first (`dmsnap group \(group.name)` with the others, or with --dissolve)"
        )
    }

    /// A device that another one's file or sessions are on can't be frozen in the same instant as that.
    func refuseStacked(_ activations: [Activation]) throws {
        for lower in activations {
            guard let number = try stack.origin(lower)?.number else { continue }
            for upper in activations where upper.id != lower.id {
                if kernel.foundations(ofDirectory: upper.base.path.path).contains(number) {
                    throw SessionsError.unsuitable(
                        device: upper.path.text,
                        reason:
                            "its sessions are on \(DeviceFinder.path(of: lower)), so the two can't be stopped "
                            + "at one instant; activate it with another --store-dir, or leave one of them out"
                    )
                }
                let source = try stack.source(upper).number
                if kernel.foundations(of: source).contains(number) {
                    throw SessionsError.unsuitable(
                        device: upper.path.text,
                        reason:
                            "it lies on \(DeviceFinder.path(of: lower)), so the two can't be stopped at one "
                            + "instant; leave one of them out")
                }
            }
        }
    }

    /// Forgets a group; its devices and their sessions stay.
    ///
    /// - Throws: `noSuchGroup`.
    func dissolve(_ name: GroupName) throws(SessionsError) {
        try registry.update { document throws(SessionsError) in
            guard document.group(name) != nil else { throw .noSuchGroup(name.text) }
            document.groups?.removeAll { $0.name == name }
        }
    }

    /// - Throws: `noSuchGroup`.
    func report(on name: GroupName) throws(SessionsError) -> GroupReport {
        let document = try registry.read()
        guard let group = document.group(name) else { throw .noSuchGroup(name.text) }
        let devices = document.activations(of: group)
        let instants = Set(devices.map(\.store.instant))
        return GroupReport(
            group: group, devices: devices,
            instant: instants.count == 1 ? instants.first.flatMap { $0 } : nil)
    }

    /// Under the locks of its devices.
    ///
    /// - Throws: `busy` if it isn't any more what it was when they were asked for.
    func requireUnchanged(_ group: DeviceGroup) throws(SessionsError) {
        guard try registry.read().group(group.name) != group else { return }
        throw .busy(
            device: group.name.text, reason: "its devices have just been changed",
            advice: "try again")
    }

    // MARK: Instants

    /// The devices of a group beside some of it, none of which anybody uses.
    struct Companions {
        let group: DeviceGroup
        let others: [Activation]
    }

    /// - Parameters:
    ///   - id: one of a group's.
    ///   - ids: those of it that are no companions.
    /// - Returns: nil where it is in no group, or one of the companions is in use.
    func companions(
        of id: String, but ids: [String] = []
    ) throws(SessionsError) -> Companions? {
        let document = try registry.read()
        guard notesInstants, let group = document.group(of: id) else { return nil }
        let others = document.activations(of: group).filter { !ids.contains($0.id) }
        guard others.allSatisfy({ if case .armed = $0.state { true } else { false } }) else {
            return nil
        }
        return Companions(group: group, others: others)
    }

    /// Puts down the instant that a group's devices have in common while nobody uses any of them.
    ///
    /// Each store was armed when the registry was read, and is empty at a later moment: so all were armed and
    /// empty at the first of the two.
    ///
    /// - Parameter id: one of the group's, or of none.
    /// - Returns: nil if they have none.
    @discardableResult
    func noteRest(of id: String) throws(SessionsError) -> GroupInstant? {
        guard let companions = try companions(of: id) else { return nil }
        for one in companions.others where try !stack.isEmpty(one) { return nil }
        return try noteInstant(companions, of: [])
    }

    /// The same of every group of which nobody uses these devices, where it isn't known yet: whoever had exchanged a
    /// store of it may have died before, and a restore of it may have failed.
    func noteRests(ofIdle devices: [Activation]) throws(SessionsError) {
        for group in try registry.read().groups ?? [] {
            let one = devices.first { group.members.contains($0.id) && $0.store.instant == nil }
            if let one { try noteRest(of: one.id) }
        }
    }

    /// Puts down an instant at which the given stores, and those that the group's other devices have, were armed and
    /// empty.
    ///
    /// - Returns: nil if one of the others has got another store since.
    func noteInstant(
        _ companions: Companions, of stores: [(id: String, number: Int)]
    ) throws(SessionsError) -> GroupInstant? {
        try registry.update { document throws(SessionsError) in
            guard let group = document.group(companions.group.name), group == companions.group,
                stores.allSatisfy({ document[id: $0.id]?.store.number == $0.number }),
                companions.others.allSatisfy({ one in
                    let now = document[id: one.id]
                    return now?.store.number == one.store.number && now?.chain == one.chain
                })
            else { return nil }
            let instant = GroupInstant(group.name, document.activations(of: group))
            for id in group.members { document[id: id]?.store.instant = instant }
            return instant
        }
    }
}
