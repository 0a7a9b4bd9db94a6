import SystemPackage
import Testing

extension IntegrationTests {
    @Suite struct CLibrary {
        @Test("A C program activates and deactivates with the library, and stays as it was")
        func program() async throws {
            try await Rig.with(.image) { rig in
                let source = FilePath(#filePath).removingLastComponent().appending("client.c")
                let program = "\(rig.directory)/client"
                try await sh(
                    """
                    gcc -std=c99 -Wall -Wextra -Werror -pthread -o \(program) \(source) -ldmsnap \
                    -ldevmapper
                    """)
                let output = try await run(program, [rig.device, Dmsnap.password])
                #expect(output.status == 0, "\(output.out)\(output.err)")
                #expect(
                    output.out.split(separator: "\n") == [
                        "null -64", "wrong -77", "missing -66", "activate 0", "again 0",
                        "deactivate 0", "not active -66", "sys_activate 0", "sys_deactivate 0",
                        "children 0 1", "logged 1",
                    ])
                #expect(output.err.contains("wrong password"))
            }
        }

        @Test("The library exports dmsnap's functions and nothing else")
        func exports() async throws {
            try await Rig.with(.image) { _ in
                let symbols = try await sh(
                    """
                    nm -D --extern-only --defined-only /usr/lib/libdmsnap.so | awk '{print $3}' \
                    | sed 's/@.*//' | sort
                    """)
                #expect(
                    symbols.split(separator: "\n") == [
                        "DMSNAP_0", "activate_snapshot", "deactivate_snapshot", "dmsnap_error",
                        "sys_activate_snapshot", "sys_deactivate_snapshot",
                    ])
            }
        }
    }
}
