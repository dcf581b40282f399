import { PauseCircleOutlined, PlayCircleOutlined, SyncOutlined } from '@ant-design/icons';
import { onlineManager, useIsFetching, useQueryClient } from '@tanstack/react-query';
import { Button, Dropdown, theme, Tooltip } from 'antd';
import { useEffect, useState, useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';
import { useFormat } from '../components/format';
import { problemOf } from '../api/problem';
import { EVERY_S, useRefreshControl } from './refresh';

/** Answers that a view has a page of its own for, and sign-in one. */
const SAID = new Set([401, 403, 404]);

/** What a part of the page that never came had to say: not every part has a place for it. */
function useMissing(): string | undefined {
  const cache = useQueryClient().getQueryCache();
  const find = () => {
    const lost = cache.getAll().find((query) => query.isActive() && query.state.data === undefined && query.state.error && !SAID.has(problemOf(query.state.error).status));
    const problem = lost && problemOf(lost.state.error);
    return problem && (problem.status ? problem.message : '');
  };
  return useSyncExternalStore((tell) => cache.subscribe(tell), find);
}

/** When the last answer came, and whether what was asked since has failed: then all that is shown is old. */
function useStaleSince(): number | null {
  const cache = useQueryClient().getQueryCache();
  const [since, setSince] = useState<number | null>(null);
  useEffect(
    () =>
      cache.subscribe((event) => {
        if (event.type !== 'updated') return;
        if (event.action.type === 'success') setSince(null);
        else if (event.action.type === 'error' && event.query.state.data !== undefined) setSince((at) => at ?? event.query.state.dataUpdatedAt);
      }),
    [cache],
  );
  return since;
}

const useOnline = () => useSyncExternalStore((tell) => onlineManager.subscribe(tell), () => onlineManager.isOnline());

export function RefreshControl() {
  const { t } = useTranslation();
  const format = useFormat();
  const queries = useQueryClient();
  const { everyS, isPaused, setEveryS, setPaused } = useRefreshControl();
  const isFetching = useIsFetching() > 0;
  const isOnline = useOnline();
  const staleSince = useStaleSince();
  const isStale = staleSince !== null || !isOnline;
  const missing = useMissing();
  const old = !isStale ? undefined : staleSince === null ? t('refresh.offline') : t('refresh.stale', { time: format.time(staleSince) });
  const said = old ?? (missing === undefined ? undefined : t('refresh.missing', { message: missing || t('error.unreachable') }));
  const label = isPaused ? t('refresh.paused') : t('refresh.every', { seconds: everyS });
  const { token } = theme.useToken();
  const color = isStale ? token.colorError : isPaused ? token.colorWarning : token.colorSuccess;
  return (
    <div style={{ display: 'flex', gap: 4 }}>
      {said && <div role="status" className="stale" style={{ color: token.colorError, background: token.colorErrorBg, borderColor: token.colorErrorBorder }}>{said}</div>}
      <Tooltip title={said ?? label}>
        <Dropdown
          trigger={['click']}
          menu={{
            selectedKeys: isPaused ? [] : [String(everyS)],
            items: [
              { key: 'now', label: t('refresh.now'), icon: <SyncOutlined /> },
              { type: 'divider' },
              ...EVERY_S.map((seconds) => ({ key: String(seconds), label: t('refresh.every', { seconds }) })),
            ],
            onClick: ({ key }) => {
              if (key === 'now') void queries.invalidateQueries();
              else {
                setEveryS(Number(key));
                setPaused(false);
              }
            },
          }}
        >
          <Button aria-label={`${t('refresh.label')}: ${label}`} data-stale={isStale}>
            <span aria-hidden style={{ width: 8, height: 8, borderRadius: 4, background: color, opacity: isFetching ? 0.4 : 1 }} />
            <span className="num">{isPaused ? '–' : t('unit.s', { n: String(everyS) })}</span>
          </Button>
        </Dropdown>
      </Tooltip>
      <Tooltip title={isPaused ? t('refresh.resume') : t('refresh.pause')}>
        <Button aria-label={isPaused ? t('refresh.resume') : t('refresh.pause')} aria-pressed={isPaused} icon={isPaused ? <PlayCircleOutlined /> : <PauseCircleOutlined />} onClick={() => setPaused(!isPaused)} />
      </Tooltip>
    </div>
  );
}
