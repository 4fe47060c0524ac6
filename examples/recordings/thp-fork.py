import os
table = bytearray(b'\x11' * (16 << 20))
work = bytearray(8 << 20)
for i in range(0, len(work), 4096): work[i] = 1
pid = os.fork()
if pid == 0:
    for i in range(0, len(table), 3 * 65536): table[i] = 2
    os._exit(0)
for i in range(0, len(work), 5 * 4096): work[i] = 3
os.waitpid(pid, 0)
for i in range(0, len(table), 1 << 20): table[i] = 4
del work
pid = os.fork()
if pid == 0:
    del table
    os._exit(0)
os.waitpid(pid, 0)
