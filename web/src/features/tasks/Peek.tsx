import { Button, Descriptions, Drawer, Space } from 'antd';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { useTask } from '../../api/tasks';
import { Code, Loaded, Moment, Priority, StatusTag } from '../../components/basics';
import { useFormat } from '../../components/format';
import { inputText } from './payload';
import { ranMs, waitedMs } from './columns';

/** A task beside the list. */
export function Peek({ id, onClose }: { id: number; onClose: () => void }) {
  const { t } = useTranslation('tasks');
  const { t: words } = useTranslation();
  const { t: taskWords } = useTranslation('task');
  const format = useFormat();
  const query = useTask(id);
  const duration = (ms: number | null) => (ms === null ? '–' : format.duration(ms));
  return (
    <Drawer open mask={false} onClose={onClose} size={Math.min(480, innerWidth)} title={taskWords('title', { id })} extra={<Link to={`/tasks/${id}`}><Button size="small" type="primary">{words('action.open')}</Button></Link>}>
      <Loaded query={query}>
        {(task) => (
          <Space orientation="vertical" size={16} style={{ width: '100%' }}>
            <Descriptions
              size="small"
              column={1}
              items={[
                { key: 'status', label: t('column.status'), children: <Space><StatusTag status={task.status} />{task.queue_position !== null && t('position', { n: task.queue_position + 1 })}</Space> },
                { key: 'model', label: t('column.model'), children: task.model },
                { key: 'priority', label: t('column.priority'), children: <Priority value={task.priority} /> },
                { key: 'created', label: t('column.created'), children: <Moment at={task.created_at} /> },
                { key: 'wait', label: t('column.wait'), children: duration(waitedMs(task)) },
                { key: 'ran', label: t('column.ran'), children: duration(ranMs(task)) },
                { key: 'cost', label: t('column.cost'), children: format.money(task.cost_microusd) },
              ]}
            />
            {task.error && <Code text={`${task.error.code}: ${task.error.message}`} maxHeight={160} />}
            {task.input && <Code text={inputText(task.input)} maxHeight={220} />}
            {task.output?.text && <Code text={task.output.text} maxHeight={320} />}
          </Space>
        )}
      </Loaded>
    </Drawer>
  );
}
