import SystemPackage
import Testing

@testable import DeviceMapper

@Suite struct AbsentDeviceMapperTests {
    @Test("Where device-mapper can't be used nobody is told that nothing is loaded")
    func everyQuestionFails() throws {
        let reason = DeviceMapperError(
            operation: .version, name: "", errno: .noSuchFileOrDirectory)
        let absent = AbsentDeviceMapper(reason)
        let name = try #require(DeviceName("dmsnap-sda1"))
        #expect(throws: reason) { try absent.devices() }
        #expect(throws: reason) { try absent.info(name) }
        #expect(throws: reason) { try absent.table(name) }
        #expect(throws: reason) { try absent.status(name) }
        #expect(throws: reason) { try absent.suspend(name, freezing: false) }
        #expect(throws: reason) { try absent.inTransaction { _ in } }
    }
}
