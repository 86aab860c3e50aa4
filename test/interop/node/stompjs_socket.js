// SPDX-License-Identifier: Apache-2.0

// How @stomp/stompjs reaches the hub: over TCP, or over WebSocket where HUB_WEBSOCKET is set. The REST
// door's port has /ws, too.

import { Versions } from '@stomp/stompjs';
import { TCPWrapper } from '@stomp/tcp-wrapper';
import { WebSocket } from 'ws';

const { HUB_HOST, HUB_STOMP, HUB_REST, HUB_WEBSOCKET } = process.env;

const overTCP = () => new TCPWrapper(HUB_HOST, Number(HUB_STOMP));

const overWebSocket = () =>
  new WebSocket(`ws://${HUB_HOST}:${HUB_REST}/ws`, Versions.default.protocolVersions());

export const webSocketFactory = HUB_WEBSOCKET ? overWebSocket : overTCP;
