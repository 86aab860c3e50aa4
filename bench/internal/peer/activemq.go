// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// activeJar is where Debian's package has the program.
const (
	activeHome = "/usr/share/activemq"
	activeJar  = activeHome + "/bin/activemq.jar"
)

// activeConfig is Debian's configuration of an instance with a STOMP port in place of the OpenWire
// one; it takes the address and, twice, the data directory.
const activeConfig = `<beans xmlns="http://www.springframework.org/schema/beans"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xsi:schemaLocation="http://www.springframework.org/schema/beans
    http://www.springframework.org/schema/beans/spring-beans-2.0.xsd
    http://activemq.apache.org/schema/core
    http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core" useJmx="false" brokerName="bench"
      dataDirectory="%[2]s">
    <persistenceAdapter><kahaDB directory="%[2]s/kahadb"/></persistenceAdapter>
    <transportConnectors>
      <transportConnector name="stomp" uri="stomp://%[1]s"/>
    </transportConnectors>
  </broker>
</beans>
`

// activeMQ is Debian's activemq with the memory and the options that its start script gives it.
type activeMQ struct {
	java string
}

func (a *activeMQ) Name() string { return ActiveMQ }

func (a *activeMQ) Build(context.Context, string) error {
	if _, err := os.Stat(activeJar); err != nil {
		return fmt.Errorf("activemq (apt-get install activemq): %w", ErrMissing)
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return fmt.Errorf("java (it comes with activemq): %w", ErrMissing)
	}
	a.java = java
	return nil
}

func (a *activeMQ) Start(ctx context.Context, place Place) (*Running, error) {
	ports, err := freePorts(ctx, 1)
	if err != nil {
		return nil, err
	}
	addr, data := hostPort(ports[0]), filepath.Join(place.Dir, "data")
	conf, err := writeFile(place.Dir, "activemq.xml", fmt.Sprintf(activeConfig, addr, data))
	if err != nil {
		return nil, err
	}
	proc, err := start(spawn{
		program: a.java,
		args: []string{
			"-Xms512M", "-Xmx512M", "-Dorg.apache.activemq.UseDedicatedTaskRunner=true",
			"-Dactivemq.home=" + activeHome, "-Dactivemq.base=" + place.Dir,
			"-Dactivemq.conf=" + place.Dir, "-Dactivemq.data=" + data,
			"-Djava.io.tmpdir=" + place.Dir,
			"-jar", activeJar, "start", "xbean:file:" + conf,
		},
		dir:   place.Dir,
		trace: place.Trace,
	})
	if err != nil {
		return nil, err
	}
	run := &Running{Stomp: addr, counted: proc}
	return run.once(ctx, func(ctx context.Context) error { return accepts(ctx, addr) })
}
