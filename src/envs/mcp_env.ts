/**
 * @file Environments whose tools are on servers that speak the Model Context Protocol.
 *
 *     const env = await McpEnv.connect({ name: 'files', dataset, servers: [{ name: 'disk', url: 'http://localhost:8000/mcp' }] });
 */
import { McpServer, McpServerError } from './mcp_server';
import type { McpServerOptions } from './mcp_server';
import { ToolEnv } from './tool_env';
import type { ToolEnvOptions } from './tool_env';
import { tool } from './tools';
import type { Tool } from './tools';

export interface McpEnvOptions extends ToolEnvOptions {
  servers: readonly McpServerOptions[];
}

/**
 * What a tool says is wrong is a tool message, as in every ToolEnv. A server that fails is the error of the rollout that
 * needed it, with the server's name; the others go on, and the next call tries to connect again. All rollouts share one
 * session with each server.
 */
export class McpEnv extends ToolEnv {
  private constructor(options: ToolEnvOptions, servers: readonly McpServer[]) {
    super({ ...options, stopErrors: [McpServerError, ...(options.stopErrors ?? [])] });
    this.addTeardown('servers', async () => {
      for (const server of servers) await server.close();
    });
  }

  /**
   * Connects to the servers and takes over their tools, beside those of the options.
   * @throws McpServerError for a server that cannot be reached, TypeError for tools of one name, or one whose arguments no
   * model could be told
   */
  static async connect({ servers: list, ...options }: McpEnvOptions): Promise<McpEnv> {
    const servers = list.map((server) => new McpServer(server));
    try {
      const offered = await Promise.all(servers.map((server) => toolsOf(server)));
      return new McpEnv({ ...options, tools: [...(options.tools ?? []), ...offered.flat()] }, servers);
    } catch (error) {
      await Promise.all(servers.map((server) => server.close()));
      throw error;
    }
  }
}

async function toolsOf(server: McpServer): Promise<Tool[]> {
  const tools = await server.tools();
  return tools.map(({ name, description, inputSchema }) =>
    tool({
      name,
      description,
      parameters: inputSchema,
      run: (args, { signal }) => server.call(name, args, signal),
    }),
  );
}
